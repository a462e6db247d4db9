"""A whole system for the fault tests: `tickloom up` in a home of its own, whose parts are killed by recorded pids.

The supervisor tells in JSON what happens; whoever waits, waits for one of its events or for something in the ledger.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from cli import runfile
from cli.process import Identity, kill_all, members
from tests.processes import free_port
from tickloom.client import Client
from tickloom.ledger import runs
from tickloom.ledger.models import ACTIVE, STARTED, Stage

UP_S, DOWN_S = 180.0, 60.0
PORTS = ("GATEWAY", "SERVICES", "REDIS", "RAY", "RAY_DASHBOARD", "FLOWER", "SIM")
SETTINGS = {"LEASE_S": "3", "RECONCILE_S": "0.5", "STREAM_TIMEOUT_S": "8"}
"""Less patient than the defaults, so that a kill costs seconds; how hard to try changes no byte."""
PARTS = ("redis", "ray", "sim", "services", "gateway", "worker")
"""What must be up before the next fault; Flower only looks on."""


@dataclass(frozen=True)
class Event:
    """What the supervisor said, and when (monotonic seconds)."""

    at: float
    part: str
    text: str


@dataclass
class _Ear:
    """Reads what a supervisor prints: JSON values, one after another."""

    events: list[Event] = field(default_factory=list)
    ended: bool = False
    heard: threading.Condition = field(default_factory=threading.Condition)

    def listen(self, stream: Any) -> None:
        decoder, text = json.JSONDecoder(), ""
        for line in stream:
            text = (text + line).lstrip()
            try:
                value, end = decoder.raw_decode(text)
            except ValueError:
                continue
            text = text[end:]
            with self.heard:
                self.events.append(Event(time.monotonic(), value.get("part", ""), value.get("event", "")))
                self.heard.notify_all()
        with self.heard:
            self.ended = True
            self.heard.notify_all()

    def wait(self, condition: Callable[[], Any], within_s: float) -> bool:
        with self.heard:
            return bool(self.heard.wait_for(lambda: condition() or self.ended, within_s)) and bool(condition())


class System:
    """One home, and the supervisor that keeps its parts alive."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home.resolve()
        self.home.mkdir(parents=True, exist_ok=True)
        self.ports = {name: free_port() for name in PORTS}
        named = {f"{name}_PORT": str(port) for name, port in self.ports.items()}
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("TICKLOOM_", "RAY_"))}
        ours = {"HOME": str(self.home), "VENUE": "sim", **named, **SETTINGS, **settings}
        self.environment = plain | {f"TICKLOOM_{name}": value for name, value in ours.items()}
        self.ledger = f"sqlite:///{self.home / 'ledger.sqlite'}"
        self._ear = _Ear()
        self._supervisor: subprocess.Popen[str] | None = None

    # up and down ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything and wait until the supervisor says that it is ready."""
        command = [sys.executable, "-c", "from cli.main import main; main()", "up", "--venue", "sim", "--json"]
        with (self.home / "up.log").open("ab") as errors:
            process = subprocess.Popen(
                command, env=self.environment, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )
        self._supervisor, self._ear = process, _Ear()
        threading.Thread(target=self._ear.listen, args=(process.stdout,), daemon=True).start()
        ready = self._ear.wait(lambda: any(event.text == "ready" for event in self._ear.events), UP_S)
        assert ready, f"the system is not up: {self._ear.events[-3:]} {(self.home / 'up.log').read_text()[-2000:]}"

    def stop(self) -> None:
        """Stop everything as Ctrl-C would, and see that nothing is left: no process, no folder."""
        process = self._supervisor
        if process is None:
            return
        self._supervisor = None
        file = self.file()
        pids = self.pids()
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(DOWN_S)
        finally:
            left = self._end_leftovers(file)
        assert code == 0, f"the supervisor ended with {code}"
        assert not left, f"processes were left behind: {left}"
        assert not [pid for pid in pids if pid.alive()], "a process of the last look is still there"
        assert not Path(file.scratch).exists(), f"{file.scratch} was left behind"

    def _end_leftovers(self, file: runfile.RunFile) -> list[str]:
        found = members(file.run, file.leaders())
        names = []
        for process in found:
            try:
                names.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
            except psutil.Error:
                continue
        kill_all(found)
        return names

    def close(self) -> None:
        """End whatever there is, without looking at how."""
        file = runfile.read(self.home)
        if self._supervisor is not None and self._supervisor.poll() is None:
            self._supervisor.kill()
            self._supervisor.wait()
        self._supervisor = None
        if file is not None:
            kill_all(members(file.run, file.leaders()))
            runfile.remove_scratch(Path(file.scratch))

    def recover(self) -> None:
        """Bring the system back to all parts up and nothing at work, whatever a test has left."""
        if self._supervisor is None or self._supervisor.poll() is not None:
            self.close()
            self.start()
        self.wait_all_up()
        for state in ACTIVE:
            for run, _ in runs.listing(self.ledger, state=state, kind=None, limit=1000, before=None):
                runs.cancel(self.ledger, run.id)

    # looking --------------------------------------------------------------------------------------------------

    def file(self) -> runfile.RunFile:
        found = runfile.read(self.home)
        assert found is not None, "there is no run.json"
        return found

    def leader(self, part: str) -> Identity:
        """Return the part's process as the supervisor recorded it."""
        row = self.file().parts[part]
        return Identity(row["pid"], row["started"])

    def session(self, part: str) -> list[psutil.Process]:
        """Return the living processes of a part, those that it started included."""
        leader = self.leader(part)
        return [process for process in _processes() if _session_of(process) == leader.pid] if leader.alive() else []

    def pids(self) -> list[Identity]:
        """Return every living process of this run, the supervisor left out."""
        file = self.file()
        return [Identity(process.pid, process.create_time()) for process in members(file.run, file.leaders())]

    def strays(self) -> list[str]:
        """Return our processes that belong to no part that lives: what a kill has left behind."""
        file = self.file()
        leaders = {leader.pid for leader in file.leaders()}
        found = []
        for process in members(file.run, file.leaders()):
            session = _session_of(process)
            if session and session not in leaders:
                found.append(f"{process.pid} of session {session}")
        return found

    def all_up(self) -> bool:
        file = self.file()
        parts = [file.parts[name] for name in PARTS]
        alive = (part["state"] == "up" and Identity(part["pid"], part["started"]).alive() for part in parts)
        return file.state == "ready" and all(alive)

    def client(self, url: str = "") -> Client:
        return Client(url or f"http://127.0.0.1:{self.ports['GATEWAY']}", patience_s=90)

    def wait_up(self, part: str, since: float) -> float:
        """Wait until the supervisor has said that a part is up, after `since`; return when that was."""

        def said() -> list[Event]:
            told = self._ear.events
            return [
                event for event in told if event.part == part and event.text.startswith("is up") and event.at > since
            ]

        assert self._ear.wait(said, UP_S), f"{part} did not come back: {self._ear.events[-5:]}"
        return said()[0].at

    def wait_all_up(self) -> None:
        """Wait until every part answers, so that the next fault meets a whole system."""
        end = time.monotonic() + UP_S
        while not self.all_up():
            assert time.monotonic() < end, f"not all parts came back: {self.file().parts}"
            time.sleep(0.05)

    def seconds(self, run_id: str) -> float:
        """Return how long a run that has ended took."""
        run, _ = runs.read(self.ledger, run_id)
        assert run.finished is not None
        return (run.finished - run.created) / 1e6

    def spans(self, run_id: str) -> tuple[tuple[str, float, float], ...]:
        """Return (stage, begin, end) of a run that has ended, in seconds since it was accepted."""
        run, stages = runs.read(self.ledger, run_id)
        times = [(stage.stage, stage.started or 0, stage.finished or 0) for stage in stages]
        return tuple((name, (begin - run.created) / 1e6, (end - run.created) / 1e6) for name, begin, end in times)

    def wait_begun(self, run_id: str, stage: str, within_s: float = 60.0) -> None:
        """Wait until a stage of a run has begun."""
        end = time.monotonic() + within_s
        while all(row.started is None for row in self.stages(run_id) if row.stage == stage):
            assert time.monotonic() < end, f"{stage} of {run_id} does not begin"
            time.sleep(0.01)

    def stage_at_work(self, run_id: str) -> str:
        """Return which stage of a run is at work, `-` between two."""
        _, stages = runs.read(self.ledger, run_id)
        return next((stage.stage for stage in stages if stage.state == STARTED), "-")

    def stages(self, run_id: str) -> list[Stage]:
        """Return a run's stages as the ledger has them, in order."""
        return runs.read(self.ledger, run_id)[1]

    # killing --------------------------------------------------------------------------------------------------

    def kill_part(self, part: str) -> None:
        """SIGKILL to a part and all that it started, at once."""
        leader = self.leader(part)
        victims = self.session(part)
        for process in victims:
            _kill(process)
        psutil.wait_procs(victims, 5)
        assert not leader.alive(), f"{part} outlives SIGKILL"

    def kill_process(self, process: psutil.Process) -> None:
        """SIGKILL to one process of a part."""
        _kill(process)
        psutil.wait_procs([process], 5)

    def kill_everything(self) -> None:
        """What a power cut does to processes: the supervisor first, then every part and whatever the parts started."""
        file, supervisor = self.file(), self._supervisor
        assert supervisor is not None
        supervisor.kill()
        found = members(file.run, file.leaders())
        for process in found:
            _kill(process)
        psutil.wait_procs(found, 10)
        supervisor.wait(10)
        self._supervisor = None


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def _processes() -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:
            continue


def _session_of(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except OSError:
        return 0
