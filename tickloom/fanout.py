"""The one way to spread work over processes: Ray where it can be had, else a pool of local processes.

Tasks are module-level functions over paths and parameters; results are small. A task may run twice (a worker died),
so a task publishes only under names made from content. The same results come out, in whatever order tasks finish.

A head that dies leaves a Ray driver hanging, and ends its process after a minute. So nothing here waits on Ray
without a timeout, and its port is probed while it is idle: when it is gone, the driver disconnects, what was
outstanding runs on the local pool, and the next job connects again.
"""

import atexit
import concurrent.futures
import logging
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog

from tickloom.errors import DeadlinePassed, StageCancelled, TickloomError, WorkerLost
from tickloom.settings import settings

log = structlog.get_logger()
Result = TypeVar("Result")
POLL_S = 0.1
LOST_TRIES = 3
NO_RAY = "Ray cannot be reached: working on a pool of local processes"


@dataclass(frozen=True)
class Task(Generic[Result]):
    """A call to make somewhere: `name` is what the dashboard shows, as in `bars BTCUSDT 2022-01-03`."""

    name: str
    function: Callable[..., Result]
    args: tuple[Any, ...]


def map_unordered(
    tasks: Iterable[Task[Result]],
    *,
    small: bool = False,
    cancelled: threading.Event | None = None,
    warn: Callable[[str], None] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Yield (index of the task, result) as tasks finish, at most 2 per CPU in flight.

    `small` runs the tasks here, one after another: right when all of them together take less than a few tenths of a
    second. Raises what a task raises; StageCancelled when `cancelled` is set (outstanding tasks are killed);
    DeadlinePassed; WorkerLost when a task's process died three times.
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
    if small:
        yield from _inline(chains, step, cancelled)
        return
    backend = _backend(warn or (lambda _: None))
    limit = 2 * cpus()
    waiting = enumerate(chains)
    running: dict[int, _Running] = {}
    more = True
    try:
        while more or running:
            while more and len(running) < limit:
                index, chain = next(waiting, (-1, ()))
                if index < 0:
                    more = False
                elif chain:
                    running[index] = _Running(iter(chain), step).advance(None, backend)
            yield from _finished(running, backend, cancelled)
    finally:
        for run in running.values():
            backend.kill(run.handle)


class _Running:
    """A chain at work: the task in flight, and what comes after it."""

    def __init__(self, items: Iterator[Any], step: Callable[[Any, Any], Task[Any]]) -> None:
        self.items, self.step = items, step
        self.handle: Any = None
        self.task: Task[Any] | None = None
        self.tries, self.since = 0, 0.0

    def advance(self, previous: Any, backend: "_Backend") -> "_Running":
        item = next(self.items, None)
        self.task = None if item is None else self.step(item, previous)
        self.tries = 0
        return self.submit(backend)

    def submit(self, backend: "_Backend") -> "_Running":
        if self.task is not None:
            self.handle = backend.submit(self.task)
            self.since = time.monotonic()
            self.tries += 1
        return self


def _finished(
    running: dict[int, _Running], backend: "_Backend", cancelled: threading.Event
) -> Iterator[tuple[int, Any]]:
    """Wait a moment; yield what finished, and send each chain on its way."""
    if cancelled.is_set():
        raise StageCancelled()
    done = backend.wait([run.handle for run in running.values()], POLL_S)
    deadline = settings().task_deadline_s
    for index, run in list(running.items()):
        assert run.task is not None
        if run.handle not in done:
            if time.monotonic() - run.since > deadline:
                raise DeadlinePassed(run.task.name, deadline)
            continue
        try:
            result = backend.result(run.handle)
        except _Lost as lost:
            if run.tries >= LOST_TRIES:
                raise WorkerLost(run.task.name, run.tries) from lost
            log.warning("task lost, running it again", task=run.task.name, reason=str(lost))
            run.submit(backend)
            continue
        if run.advance(result, backend).task is None:
            del running[index]
        yield index, result


def _inline(
    chains: Iterable[Sequence[Any]], step: Callable[[Any, Any], Task[Any]], cancelled: threading.Event
) -> Iterator[tuple[int, Any]]:
    for index, chain in enumerate(chains):
        result = None
        for item in chain:
            if cancelled.is_set():
                raise StageCancelled()
            task = step(item, result)
            result = task.function(*task.args)
            yield index, result


def cpus() -> int:
    """Return how many CPUs to keep busy on this machine."""
    return settings().cpus or os.cpu_count() or 1


class _Lost(Exception):
    """The process that ran a task is gone."""


class _Backend:
    """Where tasks run."""

    def submit(self, task: Task[Any]) -> Any:
        raise NotImplementedError

    def wait(self, handles: Sequence[Any], timeout_s: float) -> set[Any]:
        raise NotImplementedError

    def result(self, handle: Any) -> Any:
        raise NotImplementedError

    def kill(self, handle: Any) -> None:
        raise NotImplementedError


def _backend(warn: Callable[[str], None]) -> _Backend:
    if settings().ray_address == "off":
        return _pool()
    backend = _ray.connect()
    if backend is None:
        warn(NO_RAY)
        return _pool()
    return backend


# Local processes ------------------------------------------------------------------------------------------------


class _Pool(_Backend):
    """A pool of spawned processes. A process that dies breaks the pool: the next task makes a new one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executor: concurrent.futures.ProcessPoolExecutor | None = None

    def submit(self, task: Task[Any]) -> concurrent.futures.Future[Any]:
        with self._lock:
            for _ in range(2):
                if self._executor is None:
                    self._executor = concurrent.futures.ProcessPoolExecutor(
                        cpus(), mp_context=multiprocessing.get_context("spawn")
                    )
                    atexit.register(self._executor.shutdown, wait=False, cancel_futures=True)
                try:
                    return self._executor.submit(task.function, *task.args)
                except BrokenProcessPool:
                    self._executor = None
        raise WorkerLost(task.name, 2)

    def wait(self, handles: Sequence[Any], timeout_s: float) -> set[Any]:
        return concurrent.futures.wait(handles, timeout_s, concurrent.futures.FIRST_COMPLETED).done

    def result(self, handle: concurrent.futures.Future[Any]) -> Any:
        try:
            return handle.result()
        except (BrokenProcessPool, concurrent.futures.CancelledError) as error:
            with self._lock:
                self._executor = None
            raise _Lost("a local process died") from error

    def kill(self, handle: concurrent.futures.Future[Any]) -> None:
        handle.cancel()  # a task that runs already ends by itself; what it writes is named by content


_local = _Pool()


def _pool() -> _Backend:
    return _local


# Ray ------------------------------------------------------------------------------------------------------------


class _RayBackend(_Backend):
    """Tasks on the Ray cluster that this process is connected to, for as long as that connection lives."""

    def __init__(self, connection: "_RayConnection", generation: int) -> None:
        self._connection, self._generation = connection, generation
        self._fallback: dict[int, Any] = {}

    def _gone(self) -> bool:
        return self._connection.generation != self._generation

    def submit(self, task: Task[Any]) -> Any:
        if not self._gone():
            import ray

            try:
                remote = ray.remote(max_retries=0, num_cpus=1)(task.function)
                return remote.options(name=task.name).remote(*task.args)
            except Exception as error:  # the connection broke between the check and the call
                if not self._connection.lost():
                    raise
                log.warning("Ray is gone", error=str(error))
        return _local.submit(task)

    def wait(self, handles: Sequence[Any], timeout_s: float) -> set[Any]:
        local = [h for h in handles if isinstance(h, concurrent.futures.Future)]
        refs = [h for h in handles if not isinstance(h, concurrent.futures.Future)]
        if refs and (self._gone() or self._connection.lost()):
            return set(refs)  # each turns out lost when its result is asked for, and runs again locally
        done: set[Any] = set()
        if refs:
            import ray

            try:
                ready, _ = ray.wait(refs, num_returns=1, timeout=0 if local else timeout_s, fetch_local=False)
                done |= set(ready)
            except Exception as error:
                if not self._connection.lost():
                    raise
                log.warning("Ray is gone", error=str(error))
                return set(refs)
        if local:
            done |= _local.wait(local, timeout_s)
        return done

    def result(self, handle: Any) -> Any:
        if isinstance(handle, concurrent.futures.Future):
            return _local.result(handle)
        if self._gone():
            raise _Lost("the Ray head died")
        import ray
        from ray import exceptions

        try:
            return ray.get(handle, timeout=settings().stream_timeout_s)
        except exceptions.RayTaskError as error:
            cause = error.cause
            raise (cause if isinstance(cause, Exception) else error) from None
        except exceptions.RayError as error:
            raise _Lost(f"{type(error).__name__}: {error}".splitlines()[0]) from error
        except TickloomError:
            raise
        except Exception:
            if self._connection.lost():
                raise _Lost("the Ray head died") from None
            raise

    def kill(self, handle: Any) -> None:
        if isinstance(handle, concurrent.futures.Future):
            _local.kill(handle)
        elif not self._gone():
            import ray

            try:
                ray.cancel(handle, force=True)
            except Exception as error:
                log.warning("could not cancel a task", error=str(error))


class _RayConnection:
    """This process's one connection to a Ray head, made on demand and dropped as soon as the head is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.generation = 0
        self._connected = False
        self._watch: threading.Thread | None = None

    def connect(self) -> _RayBackend | None:
        """Return the cluster, or None when it cannot be had."""
        with self._lock:
            if self._connected and self._reachable():
                return _RayBackend(self, self.generation)
            if self._connected:
                self._disconnect()
            if not self._reachable():
                return None
            # In a thread of its own: on the main thread, ray.init would replace the handler of SIGTERM.
            thread = threading.Thread(target=self._init, daemon=True)
            thread.start()
            thread.join(60)
            if not self._connected:
                log.warning("Ray does not accept a driver", address=settings().ray())
                return None
            if self._watch is None:
                self._watch = threading.Thread(target=self._watch_head, daemon=True, name="ray-watch")
                self._watch.start()
            return _RayBackend(self, self.generation)

    def lost(self) -> bool:
        """Return whether the head is gone; if so, this process is disconnected afterwards."""
        if self._reachable():
            return False
        with self._lock:
            if self._connected and not self._reachable():
                self._disconnect()
        return True

    def _init(self) -> None:
        import ray

        try:
            ray.init(
                address=settings().ray(),
                log_to_driver=False,
                logging_level=logging.ERROR,
                ignore_reinit_error=True,
            )
        except Exception as error:
            log.warning("could not connect to Ray", error=str(error).splitlines()[0])
            return
        self._connected = True
        self.generation += 1

    def _disconnect(self) -> None:
        import ray

        log.warning("the Ray head is gone, disconnecting", address=settings().ray())
        self._connected = False
        self.generation += 1
        thread = threading.Thread(target=ray.shutdown, daemon=True)
        thread.start()
        thread.join(20)

    def _watch_head(self) -> None:
        while True:
            time.sleep(2)
            if self._connected:
                self.lost()

    def _reachable(self) -> bool:
        for _ in range(2):
            try:
                with socket.create_connection(settings().ray_endpoint(), timeout=1):
                    return True
            except OSError:
                continue
        return False


_ray = _RayConnection()
