"""A pool of local processes, one task at a time in each.

The standard pools cannot stop a task that runs, and when one process dies they fail the tasks of all others. Here a
thread keeps one process busy: a task is killed with its process, and a process takes no task but its own with it.
"""

import concurrent.futures
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from queue import SimpleQueue
from typing import Any

from tickloom.fanout.task import Kept, Lost, Task, cpus


class Handle(concurrent.futures.Future[Any]):
    """A task that the pool was given."""


class LocalPool:
    """Processes of this machine: started when they are needed, kept, and gone when this process is.

    Nothing is kept for other tasks: they run without it.
    """

    keeps = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: SimpleQueue[tuple[Handle, Task[Any]]] = SimpleQueue()
        self._slots: list[_Slot] = []

    def width(self) -> int:
        return cpus()

    def submit(self, task: Task[Any]) -> Handle:
        with self._lock:
            self._slots += [_Slot(self._waiting) for _ in range(cpus() - len(self._slots))]
        handle = Handle()
        if task.keeps:
            task = Task(task.name, without_bulk, (task.function, task.args))
        self._waiting.put((handle, task))
        return handle

    def wait(self, handles: Sequence[Handle], timeout_s: float) -> set[Handle]:
        done = concurrent.futures.wait(handles, timeout_s, concurrent.futures.FIRST_COMPLETED).done
        return {handle for handle in handles if handle in done}

    def result(self, handle: Handle) -> Any:
        return handle.result()

    def kill(self, handles: Sequence[Handle]) -> None:
        for handle in handles:
            if not handle.cancel():
                for slot in self._slots:
                    slot.kill(handle)


def without_bulk(function: Callable[..., Kept[Any]], args: tuple[Any, ...]) -> Kept[Any]:
    """Call a function that keeps something, and let that go."""
    return function(*args)._replace(bulk=None)


class _Slot:
    """A thread, and the process that it keeps busy."""

    def __init__(self, waiting: "SimpleQueue[tuple[Handle, Task[Any]]]") -> None:
        self._waiting = waiting
        self._lock = threading.Lock()
        self._handle: Handle | None = None
        self._process: _Process | None = None
        threading.Thread(target=self._work, daemon=True, name="fanout").start()

    def kill(self, handle: Handle) -> None:
        """Kill the process if this is the task it is working on."""
        with self._lock:
            if self._handle is handle and self._process is not None:
                self._process.kill()

    def _work(self) -> None:
        while True:
            handle, task = self._waiting.get()
            try:
                with self._lock:
                    if not handle.set_running_or_notify_cancel():
                        continue
                    self._handle = handle
                    process = self._process = self._process or _Process()
                answer = process.call(task)
            except BaseException as error:
                self._free(lost=isinstance(error, Lost))
                handle.set_exception(error)
            else:
                self._free(lost=False)
                handle.set_result(answer)

    def _free(self, *, lost: bool) -> None:
        with self._lock:
            self._handle = None
            if lost and self._process is not None:
                self._process.kill()
                self._process = None


class _Process:
    """A process that makes calls for this one."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tickloom.fanout.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._connection: Connection[bytes, bytes] = Connection(ours.detach())
        self._connection.send_bytes("\0".join(sys.path).encode())

    def call(self, task: Task[Any]) -> Any:
        """Return what the task returns. Raises what it raises; Lost when the process dies."""
        call = ForkingPickler.dumps((task.function, task.args))
        try:
            self._connection.send_bytes(call)
            answer = self._connection.recv_bytes()
        except (EOFError, OSError):
            raise Lost("a local process died") from None
        ok, value = ForkingPickler.loads(answer)
        if not ok:
            raise value
        return value

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
