"""The loop that keeps a bounded number of tasks in flight and hands on their results."""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import structlog

from tickloom.errors import DeadlinePassed, StageCancelled, WorkerLost
from tickloom.fanout.cluster import NO_RAY, Cluster, RayBackend
from tickloom.fanout.local import LocalPool
from tickloom.fanout.task import Backend, Lost, Place, Result, Task
from tickloom.settings import settings

log = structlog.get_logger()
POLL_S = 0.1
LOST_TRIES = 3
_END = object()
_here: ContextVar[bool] = ContextVar("tickloom_fanout_inline", default=False)

_local = LocalPool()
_cluster = Cluster()


def map_unordered(
    tasks: Iterable[Task[Result]],
    *,
    small: bool = False,
    cancelled: threading.Event | None = None,
    warn: Callable[[str], None] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Yield (index of the task, result) as tasks finish, at most 2 per CPU in flight.

    `small` runs the tasks here, one after another: right when all of them together take less than a few tenths of a
    second. Raises what a task raises; StageCancelled when `cancelled` is set; DeadlinePassed when a task takes, or
    with `alive` does nothing for, longer than the settings allow; WorkerLost when a task's process died three times.
    Outstanding tasks are killed then, and when the caller stops listening.
    """
    yield from fold_chains(
        ([task] for task in tasks), lambda step, _: step, small=small, cancelled=cancelled, warn=warn
    )


def fold_chains(
    chains: Iterable[Sequence[Any]],
    step: Callable[[Any, Result | None], Task[Result]],
    *,
    small: bool = False,
    cancelled: threading.Event | None = None,
    warn: Callable[[str], None] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Run each chain's items in order, chains side by side: `step(item, previous result)` makes the next task.

    Yields (index of the chain, result) for every step as it finishes. Errors as in map_unordered.
    """
    cancelled = cancelled or threading.Event()
    if small or _here.get():
        yield from _inline(chains, step, cancelled)
        return
    backend = _backend(warn or (lambda _: None))
    waiting = enumerate(chains)
    running: dict[int, _Running] = {}
    more = True
    try:
        while more or running:
            while more and len(running) < 2 * backend.width():
                index, chain = next(waiting, (-1, ()))
                if index < 0:
                    more = False
                elif chain:
                    running[index] = _Running(iter(chain), step).advance(None, backend)
            yield from _finished(running, backend, cancelled)
    finally:
        backend.kill([run.handle for run in running.values()])


class _Running:
    """A chain at work: the task in flight, and what comes after it."""

    def __init__(self, items: Iterator[Any], step: Callable[[Any, Any], Task[Any]]) -> None:
        self.items, self.step = items, step
        self.handle: Any = None
        self.task: Task[Any] | None = None
        self.tries, self.since = 0, 0.0
        self.stamp: int | None = None  # of the task's sign of life, and whether it gave one since it was submitted
        self.has_begun = False

    def advance(self, previous: Any, backend: Backend) -> "_Running":
        """Submit the task of the next item; without one, `task` is None."""
        item = next(self.items, _END)
        self.task = None if item is _END else self.step(item, previous)
        self.tries = 0
        return self.submit(backend)

    def submit(self, backend: Backend) -> "_Running":
        if self.task is not None:
            self.handle = backend.submit(self.task)
            self.since = time.monotonic()
            self.stamp, self.has_begun = self._stamp(), False
        return self

    def look(self) -> bool:
        """Return whether the task got on since the last look; its deadline then counts anew."""
        stamp = self._stamp()
        if stamp == self.stamp:
            return False
        self.stamp, self.has_begun, self.since = stamp, True, time.monotonic()
        return True

    def _stamp(self) -> int | None:
        """Return when the task last gave a sign of life: only compared with itself, as clocks differ."""
        if self.task is None or self.task.alive is None:
            return None
        try:
            return self.task.alive.stat().st_mtime_ns
        except OSError:
            return None

    def lost(self, lost: Lost, backend: Backend) -> None:
        """Submit the task again. Raises WorkerLost when it keeps bringing its process down."""
        assert self.task is not None
        self.tries += not lost.blameless
        if self.tries >= LOST_TRIES:
            raise WorkerLost(self.task.name, self.tries) from lost
        self.task = replace(self.task, given=None)  # perhaps that is what was lost
        log.warning("task lost, running it again", task=self.task.name, reason=str(lost))
        self.submit(backend)


def _finished(running: dict[int, _Running], backend: Backend, cancelled: threading.Event) -> Iterator[tuple[int, Any]]:
    """Wait a moment; yield what finished, and send each chain on its way."""
    if cancelled.is_set():
        raise StageCancelled()
    done = backend.wait([run.handle for run in running.values()], POLL_S)
    deadline = settings().task_deadline_s
    _renew(running.values(), got_on=bool(done))
    for index, run in list(running.items()):
        assert run.task is not None
        if run.handle not in done:
            if time.monotonic() - run.since > deadline:
                raise DeadlinePassed(run.task.name, deadline)
            continue
        del running[index]  # it has ended, whatever it has to say: there is nothing left to kill
        try:
            result = backend.result(run.handle)
        except Lost as lost:
            run.lost(lost, backend)
            running[index] = run
            continue
        if run.advance(result, backend).task is not None:
            running[index] = run
        yield index, result


def _renew(running: Collection[_Running], *, got_on: bool) -> None:
    """Let deadlines count anew where a task got on, and where one waits behind others that do."""
    got_on = sum(run.look() for run in running) > 0 or got_on
    for run in running:
        if got_on and not run.has_begun and run.task is not None and run.task.alive is not None:
            run.since = time.monotonic()


def _inline(
    chains: Iterable[Sequence[Any]], step: Callable[[Any, Any], Task[Any]], cancelled: threading.Event
) -> Iterator[tuple[int, Any]]:
    for index, chain in enumerate(chains):
        result = None
        for item in chain:
            if cancelled.is_set():
                raise StageCancelled()
            task = step(item, result)
            result = task.function(*task.args, *([] if task.given is None else [task.given]))
            yield index, result


@contextmanager
def inline() -> Iterator[None]:
    """Within it all tasks run here, one after another: for a task that runs whole jobs, and is one of many itself."""
    token = _here.set(True)
    try:
        yield
    finally:
        _here.reset(token)


def place(warn: Callable[[str], None] | None = None) -> Place:
    """Return what the tasks of a job that begins now will find, as long as Ray lives."""
    if _here.get():
        return Place(1, False)
    backend = _backend(warn or (lambda _: None))
    return Place(backend.width(), backend.keeps)


def _backend(warn: Callable[[str], None]) -> Backend:
    if settings().ray_address == "off":
        return _local
    head = _cluster.connect()
    if head is None:
        warn(NO_RAY)
        return _local
    return RayBackend(head, _local, warn)
