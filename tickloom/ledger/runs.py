"""Accepting, cancelling and reading runs: the gateway's side of the ledger."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, exists, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from tickloom.contracts.recheck import RECHECK
from tickloom.errors import Conflict, InvalidRequest, TickloomError, UnknownTask
from tickloom.ledger.database import insert_new, now_us, transaction
from tickloom.ledger.models import (
    ACTIVE,
    FAILURE,
    PENDING,
    REVOKED,
    SUCCESS,
    Artifact,
    Outbox,
    Recheck,
    Run,
    Stage,
    State,
)
from tickloom.ledger.trials import Searched, record


class KeyReused(Conflict):
    """The Idempotency-Key belongs to another request."""

    def __str__(self) -> str:
        return f"Idempotency-Key {self.args[0]!r} was used for a request with another body"


class AlreadyFinished(Conflict):
    """The task has ended and cannot be cancelled."""

    next_step = "nothing: its artifact stays; submit a changed request for a new task"

    def __str__(self) -> str:
        return f"task {self.args[0]} has ended with {self.args[1]}"


class InputFailed(TickloomError):
    """The task whose artifact this one needs did not succeed."""

    status = 424
    next_step = "look at the input task's error, submit it again, then this one"

    def __str__(self) -> str:
        return f"the input task {self.args[0]} ended with {self.args[1]}"


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a run that is about to be accepted."""

    stage: str
    request: dict[str, Any]
    artifact_id: str
    input_artifact_id: str | None


@dataclass(frozen=True)
class Submission:
    """A run that is about to be accepted: its stages in order, and what makes it equal to another one.

    sent  digest of what the client sent: repeated under one Idempotency-Key it is the same submission, also where it
          would stand for something else by now; empty: content_key
    """

    kind: str
    name: str
    request: dict[str, Any]
    stages: Sequence[PlannedStage]
    content_key: str
    input_run: str | None = None
    idempotency_key: str | None = None
    sent: str = ""
    searches: Sequence[Searched] = ()
    """What its backtest searches, if it has one."""


def accept(url: str, submission: Submission) -> tuple[str, bool]:
    """Record a run and its first message in one transaction; return (run id, whether it is new).

    An equal request that is active or has succeeded is answered with its run. Raises KeyReused, InputFailed.
    """
    for _ in range(3):
        try:
            with transaction(url) as session:
                return _accept(session, submission)
        except IntegrityError:  # PostgreSQL: an equal request was accepted in the same moment; find it
            continue
    raise Conflict(f"request {submission.content_key} could not be recorded")


def _accept(session: Session, submission: Submission) -> tuple[str, bool]:
    earlier = _earlier(session, submission)
    if earlier is not None:
        return earlier, False
    if submission.input_run is not None:
        source = session.get(Run, submission.input_run)
        if source is None:
            raise UnknownTask(submission.input_run)
        if source.state in (FAILURE, REVOKED):
            raise InputFailed(source.id, source.state)
    run = Run(
        id=uuid.uuid4().hex,
        kind=submission.kind,
        name=submission.name,
        state=PENDING,
        request=submission.request,
        artifact_id=submission.stages[-1].artifact_id,
        content_key=submission.content_key,
        idempotency_key=submission.idempotency_key,
        idempotency_digest=(submission.sent or submission.content_key) if submission.idempotency_key else None,
        input_run=submission.input_run,
        created=now_us(),
    )
    session.add(run)
    for planned in submission.stages:
        if planned.stage == "backtest":
            record(session, planned.artifact_id, submission.searches)
    session.flush()
    wanted = [planned.artifact_id for planned in submission.stages]
    known = set(session.scalars(select(Artifact.id).where(Artifact.id.in_(wanted))))
    for position, planned in enumerate(submission.stages):
        session.add(_stage(run.id, position, planned, planned.artifact_id in known))
    session.flush()
    wake_ready(session, [run.id])
    finish_if_done(session, run.id)
    return run.id, True


def _earlier(session: Session, submission: Submission) -> str | None:
    if submission.idempotency_key is not None:
        run = session.scalar(select(Run).where(Run.idempotency_key == submission.idempotency_key))
        if run is not None:
            if run.idempotency_digest != (submission.sent or submission.content_key):
                raise KeyReused(submission.idempotency_key)
            return run.id
    return session.scalar(select(Run.id).where(Run.content_key == submission.content_key))


def _stage(run_id: str, position: int, planned: PlannedStage, known: bool) -> Stage:
    now = now_us()
    return Stage(
        run_id=run_id,
        stage=planned.stage,
        position=position,
        state=SUCCESS if known else PENDING,
        cached=known,
        request=planned.request,
        artifact_id=planned.artifact_id,
        input_artifact_id=planned.input_artifact_id,
        warnings=[],
        started=now if known else None,
        updated=now,
        finished=now if known else None,
    )


def cancel(url: str, run_id: str) -> None:
    """Revoke a run for good. Raises UnknownTask; AlreadyFinished when it ended in another way. Twice is once."""
    with transaction(url) as session:
        run = lock_run(session, run_id)
        if run is None:
            raise UnknownTask(run_id)
        if run.state == REVOKED:
            return
        if run.state not in ACTIVE:
            raise AlreadyFinished(run_id, run.state)
        end_run(session, run, REVOKED, None)


def lock_run(session: Session, run_id: str) -> Run | None:
    """Return the run, locked until the transaction ends."""
    return session.scalar(select(Run).where(Run.id == run_id).with_for_update())


def end_run(session: Session, run: Run, state: State, error: dict[str, Any] | None) -> None:
    """End a run without success: its open stages end too, who waited for them is woken, who needs it fails."""
    now = now_us()
    run.state, run.error, run.finished, run.content_key = state, error, now, None
    open_stages = session.scalars(select(Stage).where(Stage.run_id == run.id, Stage.state.in_(ACTIVE))).all()
    for stage in open_stages:
        stage.state, stage.finished, stage.lease_until, stage.owner = state, now, None, None
        if stage.error is None and error is not None:
            stage.error = error
    session.execute(delete(Outbox).where(Outbox.run_id == run.id))
    session.flush()
    for stage in open_stages:
        wake_equal(session, stage.artifact_id)
    for dependent in session.scalars(select(Run).where(Run.input_run == run.id, Run.state.in_(ACTIVE))):
        end_run(session, dependent, FAILURE, InputFailed(run.id, state).problem())


def wake(session: Session, run_id: str, stage: str, due: int = 0) -> None:
    """Put the stage's message into the outbox, unless it is there."""
    if session.get(Outbox, (run_id, stage)) is None:
        session.add(Outbox(run_id=run_id, stage=stage, due=due or now_us()))
        session.flush()


def wake_ready(session: Session, run_ids: Sequence[str]) -> None:
    """Wake the pending stages of these runs whose input is there."""
    ready = or_(Stage.input_artifact_id.is_(None), exists().where(Artifact.id == Stage.input_artifact_id))
    rows = select(Stage.run_id, Stage.stage).where(Stage.run_id.in_(run_ids), Stage.state == PENDING, ready)
    for run_id, stage in session.execute(rows).all():
        wake(session, run_id, stage)


def wake_equal(session: Session, artifact_id: str) -> None:
    """Wake the stages that waited for another run to compute this artifact."""
    rows = select(Stage.run_id, Stage.stage).where(Stage.artifact_id == artifact_id, Stage.state == PENDING)
    for run_id, stage in session.execute(rows).all():
        wake(session, run_id, stage)


def finish_if_done(session: Session, run_id: str) -> None:
    """End a run with SUCCESS when all its stages have."""
    left = select(Stage).where(Stage.run_id == run_id, Stage.state != SUCCESS).exists()
    session.execute(
        update(Run).where(Run.id == run_id, Run.state.in_(ACTIVE), ~left).values(state=SUCCESS, finished=now_us()),
        execution_options={"synchronize_session": "fetch"},
    )


def artifact_of(url: str, run_id: str, stage: str) -> str:
    """Return the artifact id of a run's stage. Raises UnknownTask; InvalidRequest when the run has no such stage."""
    with transaction(url, write=False) as session:
        run = session.get(Run, run_id)
        if run is None:
            raise UnknownTask(run_id)
        row = session.get(Stage, (run_id, stage))
        if row is None or run.kind == RECHECK:
            raise InvalidRequest("input", f"task {run_id} makes no {stage}, which this stage needs")
        return row.artifact_id


def read(url: str, run_id: str) -> tuple[Run, list[Stage]]:
    """Return a run and its stages in order. Raises UnknownTask."""
    found = read_all(url, [run_id])
    if not found:
        raise UnknownTask(run_id)
    return found[0]


def listing(
    url: str, *, state: str | None, kind: str | None, limit: int, before: tuple[int, str] | None
) -> list[tuple[Run, list[Stage]]]:
    """Return the newest runs with their stages, at most `limit`, those before (created, id)."""
    with transaction(url, write=False) as session:
        query = select(Run).order_by(Run.created.desc(), Run.id.desc()).limit(limit)
        if state:
            query = query.where(Run.state == state)
        if kind:
            query = query.where(Run.kind == kind)
        if before:
            query = query.where(or_(Run.created < before[0], and_(Run.created == before[0], Run.id < before[1])))
        return _with_stages(session, list(session.scalars(query)))


def read_all(url: str, run_ids: Sequence[str]) -> list[tuple[Run, list[Stage]]]:
    """Return those of these runs that exist, each with its stages in order."""
    with transaction(url, write=False) as session:
        return _with_stages(session, list(session.scalars(select(Run).where(Run.id.in_(run_ids)))))


def _with_stages(session: Session, found: Sequence[Run]) -> list[tuple[Run, list[Stage]]]:
    stages: dict[str, list[Stage]] = {run.id: [] for run in found}
    wanted = select(Stage).where(Stage.run_id.in_(stages)).order_by(Stage.position).options(joinedload(Stage.stale))
    for stage in session.scalars(wanted):
        stages[stage.run_id].append(stage)
    session.expunge_all()
    return [(run, stages[run.id]) for run in found]


def artifact(url: str, artifact_id: str) -> Artifact | None:
    """Return a committed artifact's row, or None."""
    with transaction(url, write=False) as session:
        row = session.get(Artifact, artifact_id)
        session.expunge_all()
        return row


def known_artifacts(url: str, ids: Sequence[str] | None = None) -> set[str]:
    """Return which of these artifacts are committed; without ids, all of them."""
    with transaction(url, write=False) as session:
        query = select(Artifact.id)
        return set(session.scalars(query if ids is None else query.where(Artifact.id.in_(ids))))


def forget_artifacts(url: str, ids: Sequence[str]) -> None:
    """Drop artifacts that the lake has lost, so that they are made again when asked for."""
    with transaction(url) as session:
        lost = session.scalars(select(Artifact).where(Artifact.id.in_(ids), Artifact.stage == "download")).all()
        for download in lost:
            insert_new(session, Recheck, [{"download_id": download.id}])
            session.get_one(Recheck, download.id).forgotten = download.manifest_sha256
        session.flush()
        session.execute(delete(Artifact).where(Artifact.id.in_(ids)))
        affected = select(Stage.run_id).where(Stage.artifact_id.in_(ids))
        session.execute(
            update(Run).where(Run.id.in_(affected)).values(content_key=None),
            execution_options={"synchronize_session": False},
        )
