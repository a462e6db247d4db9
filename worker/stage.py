"""Work on one stage: lease, call, follow, commit.

The worker speaks HTTP and SQL only. It reads the service's stream; at each line, and a service sends one at least
every second, it renews its lease, and learns in the same breath whether the lease is still its own. When it is not,
because the task was cancelled or another worker has taken over, it closes the stream, and the service stops.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import httpx
import structlog
from sqlalchemy.exc import SQLAlchemyError

from tickloom.contracts.events import EVENTS, Failed, Finished, Progress, StageCall
from tickloom.errors import Problem, Unavailable
from tickloom.http import service_headers
from tickloom.ledger import leases, ledger_url
from tickloom.ledger.leases import Lease
from tickloom.settings import settings

log = structlog.get_logger()
RENEW_S = 0.5
CONNECT_S = 60.0
OWNER = f"{socket.gethostname()}:{os.getpid()}"

stopping = threading.Event()
"""Set when the worker is told to stop: stages at work are given back."""


class ServiceUnreachable(Unavailable):
    """A stage's service does not answer."""

    next_step = "look at the log of the service; the supervisor restarts it, and the task is tried again"

    def __str__(self) -> str:
        return f"the {self.args[0]} service at {self.args[1]} does not answer: {self.args[2]}"


class LeaseLost(Exception):
    """Somebody else has the stage now, or nobody wants it any more."""


class Stopping(Exception):
    """The worker is shutting down."""


def work(run_id: str, stage: str) -> None:
    """Do a stage if there is anything to do. A second delivery of the same message finds it taken and returns."""
    lease = leases.claim(ledger_url(), run_id, stage, OWNER, settings().lease_s)
    if lease is None:
        log.info("lease held", run=run_id, stage=stage)
        return
    keeper = _Keeper(lease)
    try:
        outcome = _follow(lease, keeper)
    except LeaseLost:
        log.info("lease lost", run=run_id, stage=stage, attempt=lease.attempt)
        return
    except Stopping:
        leases.release(ledger_url(), lease)
        return
    except ServiceUnreachable as error:
        outcome = Failed(problem=error.problem())
    if isinstance(outcome, Finished):
        _commit(lease, outcome, keeper.progress)
    else:
        leases.fail(ledger_url(), lease, outcome.problem, settings().max_attempts)


def _commit(lease: Lease, outcome: Finished, progress: Progress | None) -> None:
    if outcome.manifest.id != lease.artifact_id:
        problem = Unavailable().problem() | {
            "detail": f"the {lease.stage} service made artifact {outcome.manifest.id}, not {lease.artifact_id}",
            "next": "update all parts to one version: a stage's version differs between gateway and service",
            "retryable": False,
        }
        leases.fail(ledger_url(), lease, problem, settings().max_attempts)
    elif not leases.commit(ledger_url(), lease, outcome.manifest, progress):
        log.info("lease lost at commit", run=lease.run_id, stage=lease.stage, attempt=lease.attempt)


class _Keeper:
    """Keeps the lease: renews it now and then, with the latest progress."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.progress: Progress | None = None
        self._renewed = 0.0

    def beat(self) -> None:
        """Renew the lease if that is due. Raises LeaseLost, Stopping."""
        if stopping.is_set():
            raise Stopping()
        if time.monotonic() - self._renewed < RENEW_S:
            return
        try:
            held = leases.renew(ledger_url(), self.lease, settings().lease_s, self.progress)
        except SQLAlchemyError as error:  # a ledger that is busy must not end the work: the lease has time left
            log.warning("could not renew a lease", error=str(error))
            return
        if not held:
            raise LeaseLost()
        self._renewed = time.monotonic()


def _follow(lease: Lease, keeper: _Keeper) -> Finished | Failed:
    """Call the service and read its stream to the end. Raises LeaseLost, Stopping, ServiceUnreachable."""
    base = settings().service(lease.stage)
    call = StageCall(
        artifact_id=lease.artifact_id,
        request=lease.request,
        inputs=(lease.input_artifact_id,) if lease.input_artifact_id else (),
    )
    timeout = httpx.Timeout(settings().stream_timeout_s, connect=3)
    sent: dict[str, Any] = {"json": call.canonical(), "headers": service_headers(), "timeout": timeout}
    give_up = time.monotonic() + CONNECT_S
    while True:
        keeper.beat()
        try:
            with _client().stream("POST", f"{base}/v1/{lease.stage}", **sent) as response:
                return _read(response, keeper)
        except httpx.ConnectError as error:  # not up yet, or on its way up again
            if time.monotonic() > give_up:
                raise ServiceUnreachable(lease.stage, base, str(error)) from error
            time.sleep(0.25)
        except httpx.HTTPError as error:
            raise ServiceUnreachable(lease.stage, base, f"{type(error).__name__}: {error}") from error


@lru_cache(maxsize=1)
def _client() -> httpx.Client:
    """Return the client of all threads: making one reads the machine's certificates, 20 ms. It keeps no connection."""
    return httpx.Client(limits=httpx.Limits(max_connections=None, max_keepalive_connections=0))


def _read(response: httpx.Response, keeper: _Keeper) -> Finished | Failed:
    if response.status_code != 200:
        response.read()
        return Failed(problem=_problem(response))
    for event in _events(response):
        if isinstance(event, Finished | Failed):
            return event
        if isinstance(event, Progress):
            keeper.progress = event
        keeper.beat()
    raise httpx.RemoteProtocolError("the stream ended before the stage did")


def _events(response: httpx.Response) -> Iterator[object]:
    for line in response.iter_lines():
        if line:
            yield EVENTS.validate_json(line)


def _problem(response: httpx.Response) -> Problem:
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and "detail" in body:
        return body
    return Unavailable().problem() | {"detail": f"the service answered {response.status_code}"}
