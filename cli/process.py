"""Processes that we start, and how to end them without leaving one behind.

Each part leads a session of its own and carries the run's id in its environment, which its children inherit. By the
two a later start knows whose a process is: a process number alone may have been given to somebody else since.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "TICKLOOM_SUPERVISOR_RUN"
KILL_WAIT_S = 3.0
_LEASH = Path(__file__).with_name("leash.py")


@dataclass(frozen=True)
class Identity:
    """A process that is not mistaken for another: its number, and when it was started (seconds since the epoch)."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "Identity":
        return cls(pid, psutil.Process(pid).create_time())

    def alive(self) -> bool:
        """Return whether this very process still runs."""
        try:
            process = psutil.Process(self.pid)
            # Clocks are stepped: the boot time that create_time is counted from may move by a fraction of a second.
            return abs(process.create_time() - self.started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def spawn(command: Sequence[str], environment: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a program in a session of its own, its output appended to `log`; it is killed when we die."""
    log.parent.mkdir(parents=True, exist_ok=True)
    leash = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid())]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*leash, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )


def members(run: str, leaders: Iterable[Identity]) -> list[psutil.Process]:
    """Return the living processes of a run: those that carry its mark, and those in a session that is the run's.

    A session is the run's when its leader is one of `leaders`, or when one of its members carries the mark (Ray's
    workers write over their environment, their neighbours do not).
    """
    marked: list[psutil.Process] = []
    sessions = {leader.pid for leader in leaders if leader.alive()}
    others: list[tuple[int, psutil.Process]] = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.uids().real != os.getuid():
                continue
            session = os.getsid(process.pid)
            if process.environ().get(MARK) == run:
                marked.append(process)
                sessions.add(session)
            else:
                others.append((session, process))
        except (psutil.Error, OSError):
            continue
    ours = os.getsid(0)
    return marked + [process for session, process in others if session in sessions and session != ours]


def session_members(session: int) -> list[psutil.Process]:
    """Return the living processes of a session."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def kill_all(processes: Iterable[psutil.Process], wait_s: float = KILL_WAIT_S) -> int:
    """Kill processes and wait until they are gone. Return how many there were."""
    victims = list(processes)
    for process in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(victims, timeout=wait_s)
    return len(victims)


def kill_session(session: int, wait_s: float = KILL_WAIT_S) -> int:
    """Kill every process of a session, again until none is left: one may be forking while we look."""
    count, deadline = 0, time.monotonic() + wait_s
    while time.monotonic() < deadline:
        found = session_members(session)
        if not found:
            break
        count += kill_all(found, max(0.1, deadline - time.monotonic()))
    return count


def describe_exit(code: int) -> str:
    """Return how a process ended, in words."""
    if code >= 0:
        return f"exited with code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
