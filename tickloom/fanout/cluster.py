"""Tasks on Ray, and how to outlive its head.

A head that dies leaves a Ray driver hanging, and ends its process after a minute; a driver never finds a new head by
itself. So a thread holds a connection of its own to the head's port: when it breaks, that head is dead, also when a
new one has taken the port since. Then the driver disconnects, what was outstanding runs on the local pool, and the
next job connects again.
"""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import structlog

from tickloom.fanout.local import Handle, LocalPool
from tickloom.fanout.task import Kept, Lost, Task
from tickloom.settings import settings

log = structlog.get_logger()
NO_RAY = "Ray cannot be reached: working on a pool of local processes"
JOIN_S = 60.0
"""How long to wait for ray.init, which never gives up by itself."""
RENEW_S = 60.0
"""After two minutes a gRPC server hangs up on a connection that says nothing: take a new one before that."""
GRACE_S = 0.5
"""How long a task that nobody wants any more may go on before it is cancelled."""
NOTICE_S = 0.5
"""How long after Ray fails the broken connection can be noticed."""
LEAVE_S = 20.0
"""How long to wait for calls under way before disconnecting; a minute after its head's death Ray ends the process."""


class Head:
    """This process's connection to one Ray head, for as long as that head lives."""

    def __init__(self, address: str, leash: socket.socket, n_cpus: int) -> None:
        self.address = address
        self.gone = threading.Event()
        self.n_cpus = n_cpus
        self._leash = leash
        self._calls = 0
        self._quiet = threading.Condition()
        self._remotes: dict[Callable[..., Any], Any] = {}

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Keep the driver connected while Ray is called. Raises Lost when the head is gone."""
        with self._quiet:
            if self.gone.is_set():
                raise Lost("the Ray head died", blameless=True)
            self._calls += 1
        try:
            yield
        finally:
            with self._quiet:
                self._calls -= 1
                self._quiet.notify_all()

    def died(self) -> bool:
        """Return whether a call that has just failed did so because the head is gone."""
        return self.gone.wait(NOTICE_S)

    def drop(self) -> None:
        """Give this head up, though its port still answers."""
        with contextlib.suppress(OSError):
            self._leash.shutdown(socket.SHUT_RDWR)

    def remote(self, function: Callable[..., Any]) -> Any:
        """Return the function as Ray calls it; made once, for each copy would be sent to the head anew."""
        import ray

        if function not in self._remotes:
            self._remotes[function] = ray.remote(max_retries=0, num_cpus=1)(function)
        return self._remotes[function]

    def hold(self) -> None:
        """Return when the head is dead; nothing calls Ray any more then, or will."""
        while not _broken(self._leash, RENEW_S):
            fresh = dial()
            if fresh is None:
                continue
            if _broken(self._leash, 0):
                break
            self._leash.close()  # it was alive when the new one was made, so both lead to the same head
            self._leash = fresh
        with self._quiet:
            self.gone.set()
            self._quiet.wait_for(lambda: self._calls == 0, LEAVE_S)


class Cluster:
    """Finds the head, and loses it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session = threading.Lock()
        self._head: Head | None = None
        self._joining: threading.Thread | None = None

    def connect(self) -> Head | None:
        """Return the head to submit tasks to, or None when there is none."""
        with self._lock:
            if self._alive() is None and (self._joining is None or not self._joining.is_alive()):
                leash = dial()
                if leash is None:
                    return None
                # In a thread of its own: on the main thread, ray.init would replace the handler of SIGTERM.
                self._joining = threading.Thread(target=self._join, args=(leash,), daemon=True, name="ray-join")
                self._joining.start()
                self._joining.join(JOIN_S)
            return self._alive()

    def _alive(self) -> Head | None:
        if self._head is None or self._head.gone.is_set():
            return None
        if self._head.address != settings().ray():
            self._head.drop()
            return None
        return self._head

    def _join(self, leash: socket.socket) -> None:
        import ray

        address = settings().ray()
        with self._session:  # not before the last session is over
            try:
                ray.init(
                    address=address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    ignore_reinit_error=True,
                )
                resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
                head = Head(address, leash, max(1, int(resources.get("CPU", 1))))
            except Exception as error:
                log.warning("could not connect to Ray", error=str(error).splitlines()[0] if str(error) else repr(error))
                leash.close()
                return
        self._head = head
        threading.Thread(target=self._watch, args=(head,), daemon=True, name="ray-watch").start()

    def _watch(self, head: Head) -> None:
        import ray

        with self._session:
            head.hold()
            log.warning("the Ray head is gone, disconnecting", address=head.address)
            ray.shutdown()


def dial() -> socket.socket | None:
    """Return a connection to the head's port, or None when nothing answers there."""
    for _ in range(2):
        with contextlib.suppress(OSError):
            leash = socket.create_connection(settings().ray_endpoint(), timeout=1)
            leash.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # notices a machine that lost its power
            for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
                if hasattr(socket, option):
                    leash.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            return leash
    return None


def _broken(leash: socket.socket, wait_s: float) -> bool:
    """Return True as soon as the other end hangs up, False when it has not after `wait_s`."""
    until = time.monotonic() + wait_s
    while True:
        leash.settimeout(max(0.001, until - time.monotonic()))
        try:
            if not leash.recv(4096):
                return True
        except TimeoutError:
            return False
        except OSError:
            return True


class RayBackend:
    """One job's tasks: on Ray while its head lives, on the local pool from then on.

    What a task keeps stays in the object store of its node. It may be lost with the node: then a task that was given
    it is lost, and runs again without.
    """

    keeps = True

    def __init__(self, head: Head, local: LocalPool, warn: Callable[[str], None]) -> None:
        self._head, self._local, self._warn = head, local, warn
        self._warned = False
        self._bulk: dict[Any, Any] = {}

    def width(self) -> int:
        return self._local.width() if self._head.gone.is_set() else settings().cpus or self._head.n_cpus

    def submit(self, task: Task[Any]) -> Any:
        try:
            with self._head.call():
                return self._send(task)
        except Lost:
            pass
        except Exception as error:
            if not self._head.died():
                raise
            log.warning("Ray is gone", error=str(error))
        if not self._warned:
            self._warn(NO_RAY)
            self._warned = True
        return self._local.submit(task)

    def _send(self, task: Task[Any]) -> Any:
        call = self._head.remote(task.function).options(name=task.name, num_returns=2 if task.keeps else 1)
        args = task.args if task.given is None else (*task.args, task.given)
        if not task.keeps:
            return call.remote(*args)
        handle, self._bulk[handle] = call.remote(*args)
        return handle

    def wait(self, handles: Sequence[Any], timeout_s: float) -> set[Any]:
        local = [handle for handle in handles if isinstance(handle, Handle)]
        refs = [handle for handle in handles if not isinstance(handle, Handle)]
        done: set[Any] = self._wait_ray(refs, timeout_s) if refs else set()
        if local:
            done |= self._local.wait(local, 0 if refs else timeout_s)
        return done

    def _wait_ray(self, refs: list[Any], timeout_s: float) -> set[Any]:
        import ray

        try:
            with self._head.call():
                ready, rest = ray.wait(refs, num_returns=1, timeout=timeout_s, fetch_local=False)
                if ready and rest:
                    ready += ray.wait(rest, num_returns=len(rest), timeout=0, fetch_local=False)[0]
                return set(ready)
        except Lost:
            pass
        except Exception as error:
            if not self._head.died():
                raise
            log.warning("Ray is gone", error=str(error))
        return set(refs)  # each turns out lost when its result is asked for, and runs again on the local pool

    def result(self, handle: Any) -> Any:
        if isinstance(handle, Handle):
            return self._local.result(handle)
        import ray
        from ray import exceptions

        bulk = self._bulk.pop(handle, None)
        try:
            with self._head.call():
                result = ray.get(handle, timeout=settings().stream_timeout_s)
            return result if bulk is None else Kept(result, bulk)
        except exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, exceptions.RayError):  # what it was given is lost
                raise self._judged(cause) from error
            raise (cause if isinstance(cause, Exception) else error) from None
        except Lost:
            raise
        except Exception as error:
            raise self._judged(error) from error

    def _judged(self, error: Exception) -> Exception:
        """Return the error as what it means: Lost when a process died, itself when it does not say so."""
        from ray import exceptions

        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        if isinstance(error, exceptions.LocalRayletDiedError):  # half a head is none
            self._head.drop()
        if self._head.died():
            return Lost(reason, blameless=True)
        ours = not isinstance(error, exceptions.RayError) or isinstance(error, exceptions.RaySystemError)
        return error if ours else Lost(reason)

    def kill(self, handles: Sequence[Any]) -> None:
        self._local.kill([handle for handle in handles if isinstance(handle, Handle)])
        refs = [handle for handle in handles if not isinstance(handle, Handle)]
        if not refs:
            return
        import ray

        try:
            with self._head.call():
                # Cancelling a task in the moment in which it ends brings this whole process down, by a check in Ray
                # (ray-project/ray#54785). So those that are about to end may, and only the long ones are cancelled.
                for ref in ray.wait(refs, num_returns=len(refs), timeout=GRACE_S, fetch_local=False)[1]:
                    ray.cancel(ref, force=True)
        except Lost:
            pass
        except Exception as error:
            log.warning("could not cancel a task", error=str(error))
