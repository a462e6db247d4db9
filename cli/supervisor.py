"""The supervisor: starts the parts in the order of their needs, restarts what dies, and takes everything down again.

One asyncio loop, a coroutine per part: wait for what the part needs, start it, probe until it answers, then watch it.
A part that dies, or that stops answering for `hang` seconds, is started again after 1, 2, 4 ... 30 seconds; ten seconds
of health forget the past. While it never came up, three deaths in a row end the start with the last lines of its log.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cli import logs, runfile
from cli.parts import Part, Plan, make_plan
from cli.probes import port_is_free, port_owner
from cli.process import Identity, describe_exit, kill_all, kill_session, members, spawn
from tickloom.errors import BadRequest, Unavailable
from tickloom.settings import Settings

Result = TypeVar("Result")


class AlreadyRunning(BadRequest):
    """A supervisor runs on this home already."""

    next_step = "use it, stop it with Ctrl-C where it runs, or set TICKLOOM_HOME to another folder"

    def __str__(self) -> str:
        return f"the system of {self.args[0]} is already running (pid {self.args[1]}), its gateway is at {self.args[2]}"


class PortBusy(Unavailable):
    """A port that a part needs is taken."""

    next_step = "stop what uses it, or choose another port with that variable"

    def __str__(self) -> str:
        number, part, variable, owner = self.args
        return f"port {number} is in use{owner}; the {part} needs it, {variable} sets another one"


class PartFailed(Unavailable):
    """A part does not come up."""

    next_step = "the log named above has the cause"

    def __str__(self) -> str:
        name, reason, log, tail = self.args
        return f"the {name} {reason}; the end of {log}:\n{tail}"


@dataclass(frozen=True)
class Timing:
    """How patient the supervisor is, in seconds."""

    poll: float = 0.1
    probe: float = 5.0
    backoff_first: float = 1.0
    backoff_last: float = 30.0
    healthy: float = 10.0
    hang: float = 60.0
    start: float = 120.0
    logs: float = 60.0


@dataclass
class Child:
    """A part at work."""

    process: "subprocess.Popen[bytes]"
    identity: Identity


@dataclass
class Watch:
    """What the supervisor knows of a part."""

    part: Part
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    child: Child | None = None
    restarts: int = 0
    state: str = "waiting"
    up_since: float = 0.0


Announce = Callable[[str, str], None]
"""Called with (part, text) when something happens that a person may want to read."""


class Supervisor:
    """Runs the parts of one home. Use `run` once."""

    def __init__(
        self,
        config: Settings,
        venue: str = "",
        *,
        announce: Announce = lambda *_: None,
        timing: Timing = Timing(),
        plan: Callable[[Settings, str, Path, str], Plan] = make_plan,
    ) -> None:
        self.config = config.model_copy(update={"home": config.home.resolve()})
        self.home, self.venue = self.config.home, venue or config.venue
        self.announce, self.timing = announce, timing
        self._make_plan = plan
        self._plan: Plan
        self._watches: dict[str, Watch] = {}
        self._file: runfile.RunFile

    def run(self, work: Callable[[], Result] | None = None, *, when: Sequence[str] = ()) -> Result | None:
        """Start everything, then do `work` (in a thread), or without one stay up until a signal comes; stop everything.

        Work begins as soon as the parts named in `when` answer; without names, when all do that the system needs.
        Returns what `work` returns. Raises what `work` raises, AlreadyRunning, PortBusy, PartFailed, and
        KeyboardInterrupt when a signal ended unfinished work.
        """
        lock = runfile.lock(self.home)
        if lock is None:
            other = runfile.read(self.home)
            raise AlreadyRunning(str(self.home), other.pid if other else "?", other.gateway if other else "?")
        with lock:
            if swept := runfile.sweep(self.home):
                self._say("supervisor", f"ended {swept} processes that a killed supervisor had left behind")
            scratch = runfile.make_scratch()
            try:
                run = uuid.uuid4().hex
                self._plan = self._make_plan(self.config, self.venue, scratch, run)
                self._check_ports()
                gateway = self.config.gateway()
                self._file = runfile.RunFile(run, os.getpid(), self.venue, gateway, str(scratch))
                self._file.write(self.home)
                return asyncio.run(self._main(work, when))
            finally:
                runfile.remove_scratch(scratch)
                (self.home / "run.json").unlink(missing_ok=True)

    def _say(self, part: str, text: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads what we say: that must not stop the system
            self.announce(part, text)

    def _check_ports(self) -> None:
        for part in self._plan.parts:
            for port in part.ports:
                if not port_is_free(port.number, port.host):
                    raise PortBusy(port.number, part.name, port.variable, port_owner(port.number))

    async def _main(self, work: Callable[[], Result] | None, when: Sequence[str]) -> Result | None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        self._watches = {part.name: Watch(part) for part in self._plan.parts}
        stopped, begin = loop.create_task(stop.wait()), loop.create_task(self._ready(when))
        guards = [loop.create_task(self._keep(watch)) for watch in self._watches.values()]
        guards += [loop.create_task(self._tend_logs()), loop.create_task(self._tell_when_ready())]
        try:
            if work is None:
                await _until([stopped], guards)
                return None
            await _until([begin, stopped], guards)
            if not stopped.done():
                result = _in_thread(work, loop)
                await _until([result, stopped], guards)
                if result.done():
                    return result.result()
            raise KeyboardInterrupt
        finally:
            self._write("stopping")
            for task in (*guards, stopped, begin):
                task.cancel()
            await asyncio.gather(*guards, stopped, begin, return_exceptions=True)
            await self._stop_all(stop)

    async def _ready(self, names: Sequence[str] = ()) -> None:
        """Wait until these parts answer; without names, all that the system needs. Raises PartFailed."""
        wanted = [watch for name, watch in self._watches.items() if (name in names if names else watch.part.essential)]
        try:
            async with asyncio.timeout(self.timing.start):
                for watch in wanted:
                    await watch.ready.wait()
        except TimeoutError:
            late = next(watch for watch in wanted if not watch.ready.is_set())
            raise self._failed(late.part, f"is not ready after {self.timing.start:.0f} s") from None

    async def _tell_when_ready(self) -> None:
        await self._ready()
        self._write("ready")
        self._say("supervisor", "ready")

    def _failed(self, part: Part, reason: str) -> PartFailed:
        log = self._log(part)
        return PartFailed(part.name, reason, str(log), logs.tail(log))

    def _log(self, part: Part) -> Path:
        return self.home / "logs" / f"{part.name}.log"

    # one part -------------------------------------------------------------------------------------------------

    async def _keep(self, watch: Watch) -> None:
        """Keep a part alive for as long as the supervisor runs."""
        for name in watch.part.needs:
            await self._watches[name].ready.wait()
        deaths = 0
        while True:
            self._start(watch)
            reason = await self._until_down(watch)
            healthy = watch.state == "up" and time.monotonic() - watch.up_since >= self.timing.healthy
            await self._bury(watch)
            deaths = 1 if healthy else deaths + 1
            if not watch.ready.is_set() and deaths >= 3:
                raise self._failed(watch.part, f"{reason}, three times in a row")
            delay = min(self.timing.backoff_first * 2 ** (deaths - 1), self.timing.backoff_last)
            watch.state, watch.restarts = "down", watch.restarts + 1
            self._write()
            self._say(watch.part.name, f"{reason}; starting it again in {delay:.0f} s")
            await asyncio.sleep(delay)

    def _start(self, watch: Watch) -> None:
        log = self._log(watch.part)
        logs.rotate(log)
        process = spawn(watch.part.command(), self._plan.environment, log)
        watch.child = Child(process, Identity.of(process.pid))
        watch.state = "starting"
        self._write()

    async def _until_down(self, watch: Watch) -> str:
        """Probe a part and return why it counts as down: it ended, or it no longer answers."""
        child, timing = watch.child, self.timing
        assert child is not None
        answered = time.monotonic()
        due = 0.0
        while (code := child.process.poll()) is None:
            now = time.monotonic()
            if now >= due:
                if await asyncio.to_thread(watch.part.probe):
                    answered = time.monotonic()
                    self._came_up(watch)
                elif now - answered > (timing.hang if watch.state == "up" else timing.start):
                    return f"has not answered for {now - answered:.0f} s"
                due = time.monotonic() + (timing.probe if watch.state == "up" else timing.poll)
            await asyncio.sleep(timing.poll)
        return describe_exit(code)

    def _came_up(self, watch: Watch) -> None:
        if watch.state != "up":
            watch.state, watch.up_since = "up", time.monotonic()
            again = " again" if watch.restarts else ""
            self._write()
            self._say(watch.part.name, f"is up{again}")
            watch.ready.set()

    async def _bury(self, watch: Watch) -> None:
        """Kill what is left of a part: itself when it hangs, and its children."""
        if watch.child is not None:
            await asyncio.to_thread(kill_session, watch.child.process.pid)
            watch.child.process.poll()
            watch.child = None

    def _write(self, state: str = "") -> None:
        if state:
            self._file.state = state
        for name, watch in self._watches.items():
            child = watch.child
            self._file.parts[name] = {
                "state": watch.state,
                "pid": child.identity.pid if child else 0,
                "started": child.identity.started if child else 0.0,
                "restarts": watch.restarts,
                "url": watch.part.url,
            }
        with contextlib.suppress(OSError):  # a full disk must not stop the supervisor
            self._file.write(self.home)

    async def _tend_logs(self) -> None:
        while True:
            await asyncio.sleep(self.timing.logs)
            for watch in self._watches.values():
                logs.rotate(self._log(watch.part), running=True)

    # the end --------------------------------------------------------------------------------------------------

    async def _stop_all(self, again: asyncio.Event) -> None:
        """Stop the parts, the outermost layer first, each with its grace; a second signal kills at once."""
        again.clear()
        alive = [watch for watch in self._watches.values() if watch.child is not None]
        for layer in sorted({watch.part.layer for watch in alive}, reverse=True):
            await asyncio.gather(*(self._stop(watch, again) for watch in alive if watch.part.layer == layer))
        leaders = self._file.leaders()
        kill_all(await asyncio.to_thread(members, self._plan.run, leaders))

    async def _stop(self, watch: Watch, again: asyncio.Event) -> None:
        assert watch.child is not None
        process, deadline = watch.child.process, time.monotonic() + watch.part.grace_s
        if watch.part.grace_s and process.poll() is None:
            process.terminate()
            while process.poll() is None and time.monotonic() < deadline and not again.is_set():
                await asyncio.sleep(0.02)
        await asyncio.to_thread(kill_session, process.pid)
        process.wait()
        watch.child, watch.state = None, "down"


async def _until(targets: "Sequence[asyncio.Future[Any]]", guards: "Sequence[asyncio.Future[Any]]") -> None:
    """Wait until one of `targets` has ended; raises what a guard raises meanwhile."""
    waiting: set[asyncio.Future[Any]] = {*targets, *guards}
    while not any(target.done() for target in targets):
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done.difference(targets):
            task.result()


def _in_thread(work: Callable[[], Result], loop: asyncio.AbstractEventLoop) -> "asyncio.Future[Result]":
    """Run `work` in a thread that does not keep the process alive."""
    future: asyncio.Future[Result] = loop.create_future()

    def finish(result: Result | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def body() -> None:
        try:
            outcome: tuple[Result | None, BaseException | None] = (work(), None)
        except BaseException as error:
            outcome = (None, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, *outcome)

    threading.Thread(target=body, name="work", daemon=True).start()
    return future
