"""Working on stages: the worker's side of the ledger. A lease says who works on a stage; every write of its holder
names the attempt it was given, so that whoever lost the lease can change nothing any more.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Update, delete, exists, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tickloom.contracts.artifact import Manifest
from tickloom.contracts.events import Progress
from tickloom.errors import Problem, Unavailable
from tickloom.identity import digest
from tickloom.ledger import editions, runs, trials
from tickloom.ledger.database import now_us, transaction
from tickloom.ledger.models import ACTIVE, FAILURE, PENDING, RETRY, STARTED, SUCCESS, Artifact, Outbox, Run, Stage

RESEND_US = 5_000_000


class LeaseExpired(Unavailable):
    """The worker that did this stage went silent."""

    next_step = "submit it again; if it happens again, look at the worker's log"

    def __str__(self) -> str:
        return f"worker {self.args[0]} went silent during attempt {self.args[1]}"


@dataclass(frozen=True)
class Lease:
    """The right to work on a stage, for a while."""

    run_id: str
    stage: str
    attempt: int
    request: dict[str, Any]
    artifact_id: str
    input_artifact_id: str | None


def claim(url: str, run_id: str, stage: str, owner: str, lease_s: float) -> Lease | None:
    """Take the lease on a stage, or return None: done, not ready, cancelled, held, or computed by another run."""
    try:
        with transaction(url) as session:
            return _claim(session, run_id, stage, owner, lease_s)
    except IntegrityError:  # PostgreSQL: another run started the same computation in the same moment
        return None


def _claim(session: Session, run_id: str, stage: str, owner: str, lease_s: float) -> Lease | None:
    run = runs.lock_run(session, run_id)
    row = session.get(Stage, (run_id, stage))
    now = now_us()
    if run is None or row is None or run.state not in ACTIVE or row.state not in (PENDING, RETRY):
        return None
    if row.not_before > now:
        runs.wake(session, run_id, stage, row.not_before)
        return None
    if row.input_artifact_id is not None and session.get(Artifact, row.input_artifact_id) is None:
        return None
    if session.get(Artifact, row.artifact_id) is not None:
        _succeed(session, row, cached=True)
        return None
    other = select(Stage.run_id).where(Stage.artifact_id == row.artifact_id, Stage.state == STARTED)
    computing = session.scalar(other)
    if computing is not None:
        row.message = f"task {computing} is computing the same: waiting for it"
        return None
    row.state, row.attempt, row.owner = STARTED, row.attempt + 1, owner
    row.lease_until, row.updated = now + int(lease_s * 1e6), now
    row.started = row.started or now
    row.done = row.total = row.rows = 0
    row.message, row.error = "", None
    row.seconds_left = row.trials = row.best = None
    run.state = STARTED
    session.execute(delete(Outbox).where(Outbox.run_id == run_id, Outbox.stage == stage))
    session.flush()
    return Lease(run_id, stage, row.attempt, row.request, row.artifact_id, row.input_artifact_id)


def _mine(lease: Lease) -> Update:
    return update(Stage).where(
        Stage.run_id == lease.run_id,
        Stage.stage == lease.stage,
        Stage.attempt == lease.attempt,
        Stage.state == STARTED,
    )


def _held(session: Session, statement: Update) -> bool:
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount == 1


def renew(url: str, lease: Lease, lease_s: float, progress: Progress | None) -> bool:
    """Renew the lease and record progress. Return False when the lease is lost or the run was cancelled."""
    now = now_us()
    values: dict[str, Any] = {"lease_until": now + int(lease_s * 1e6), "updated": now}
    with transaction(url) as session:
        if not _held(session, _mine(lease).values(values | _columns(progress))):
            return False
        if progress is not None:
            trials.seen(session, lease.artifact_id, progress)
        return True


def _columns(progress: Progress | None) -> dict[str, Any]:
    if progress is None:
        return {}
    columns = progress.model_dump(include={"done", "total", "rows", "seconds_left", "trials", "best"})
    return columns | {"message": progress.message[:500], "warnings": list(progress.warnings)}


def commit(url: str, lease: Lease, manifest: Manifest, progress: Progress | None = None) -> bool:
    """Record the artifact and the last progress, and send the next stage on its way, in one transaction.

    Return False, and change nothing, when the lease is lost or the run was cancelled.
    """
    with transaction(url) as session:
        runs.lock_run(session, lease.run_id)
        if not _held(session, _mine(lease).values({"updated": now_us()} | _columns(progress))):
            return False
        if session.get(Artifact, manifest.id) is None:
            sha256 = digest(manifest.canonical())
            session.add(
                Artifact(
                    id=manifest.id,
                    stage=manifest.stage,
                    manifest_sha256=sha256,
                    rows=sum(entry.rows or 0 for entry in manifest.files),
                    bytes=sum(entry.bytes for entry in manifest.files),
                    created=now_us(),
                )
            )
            session.flush()
            editions.committed(session, manifest, sha256)
        trials.measured(session, manifest)
        waiting = Stage.state.in_((PENDING, RETRY))
        row = session.get(Stage, (lease.run_id, lease.stage), populate_existing=True)
        assert row is not None
        _succeed(session, row, cached=False)
        for equal in session.scalars(select(Stage).where(Stage.artifact_id == manifest.id, waiting)).all():
            _succeed(session, equal, cached=True)
        ready = select(Stage.run_id).where(Stage.input_artifact_id == manifest.id, Stage.state == PENDING)
        runs.wake_ready(session, list(session.scalars(ready)))
        return True


def _succeed(session: Session, row: Stage, *, cached: bool) -> None:
    now = now_us()
    row.state, row.cached, row.finished, row.updated = SUCCESS, cached, now, now
    row.lease_until, row.owner, row.message, row.error = None, None, "", None
    row.done = row.total = max(row.total, 1)
    row.started = row.started or now
    session.execute(delete(Outbox).where(Outbox.run_id == row.run_id, Outbox.stage == row.stage))
    session.flush()
    runs.finish_if_done(session, row.run_id)


def fail(url: str, lease: Lease, problem: Problem, max_attempts: int) -> None:
    """Record a failed attempt: retried with back-off while attempts are left, the end of the run otherwise."""
    with transaction(url) as session:
        run = runs.lock_run(session, lease.run_id)
        if run is not None and _held(session, _mine(lease).values(updated=now_us())):
            row = session.get(Stage, (lease.run_id, lease.stage), populate_existing=True)
            assert row is not None
            _fail(session, run, row, problem, max_attempts)


def _fail(session: Session, run: Run, row: Stage, problem: Problem, max_attempts: int) -> None:
    row.failures += 1
    row.error, row.lease_until, row.owner = problem, None, None
    if not problem.get("retryable") or row.failures >= max_attempts:
        row.state, row.finished = FAILURE, now_us()
        session.flush()
        runs.end_run(session, run, FAILURE, problem)
        runs.wake_equal(session, row.artifact_id)
        return
    row.state = run.state = RETRY
    row.not_before = now_us() + 1_000_000 * 3 ** (row.failures - 1)
    session.flush()
    runs.wake(session, run.id, row.stage, row.not_before)
    runs.wake_equal(session, row.artifact_id)


def release(url: str, lease: Lease) -> None:
    """Give a stage back unfinished, without counting a failure: the worker is shutting down."""
    with transaction(url) as session:
        run = runs.lock_run(session, lease.run_id)
        if run is not None and _held(session, _mine(lease).values(state=PENDING, lease_until=None, owner=None)):
            run.state = PENDING
            runs.wake(session, lease.run_id, lease.stage)


def unsent(url: str, limit: int = 500) -> list[tuple[str, str]]:
    """Return the messages that are due, oldest first."""
    with transaction(url, write=False) as session:
        query = select(Outbox.run_id, Outbox.stage).where(Outbox.due <= now_us()).order_by(Outbox.due).limit(limit)
        return [(run_id, stage) for run_id, stage in session.execute(query)]


def mark_sent(url: str, messages: list[tuple[str, str]]) -> None:
    """Take messages that the broker has accepted out of the outbox."""
    now = now_us()
    with transaction(url) as session:
        for run_id, stage in messages:
            session.execute(delete(Outbox).where(Outbox.run_id == run_id, Outbox.stage == stage))
            session.execute(
                update(Stage).where(Stage.run_id == run_id, Stage.stage == stage).values(sent=now),
                execution_options={"synchronize_session": False},
            )


def expire(url: str, max_attempts: int) -> int:
    """End the attempts whose lease has run out; return how many."""
    with transaction(url) as session:
        dead = select(Stage).where(Stage.state == STARTED, Stage.lease_until < now_us())
        rows = session.scalars(dead.with_for_update(skip_locked=True)).all()
        for row in rows:
            run = runs.lock_run(session, row.run_id)
            assert run is not None
            _fail(session, run, row, LeaseExpired(row.owner, row.attempt).problem(), max_attempts)
        return len(rows)


def overdue(url: str) -> dict[str, list[str]]:
    """Return, by stage, the runs whose stage is ready and was sent a while ago, but that nobody has claimed."""
    with transaction(url, write=False) as session:
        ready = or_(Stage.input_artifact_id.is_(None), exists().where(Artifact.id == Stage.input_artifact_id))
        query = select(Stage.stage, Stage.run_id).where(
            Stage.state.in_((PENDING, RETRY)), Stage.sent < now_us() - RESEND_US, Stage.not_before < now_us(), ready
        )
        found: dict[str, list[str]] = {}
        for stage, run_id in session.execute(query.limit(2000)):
            found.setdefault(stage, []).append(run_id)
        return found


def resend(url: str, stage: str, run_ids: list[str]) -> None:
    """Put the messages of these stages into the outbox once more."""
    with transaction(url) as session:
        for run_id in run_ids:
            runs.wake(session, run_id, stage)
