"""GET /status/<id>, GET /tasks, DELETE /tasks/<id>: what became of the work. Read from the ledger alone."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query

from api_gateway.models import StageStatus, State, TaskList, TaskStatus
from tickloom.contracts.stages import STAGES
from tickloom.errors import InvalidRequest, UnknownTask
from tickloom.http import problems
from tickloom.ledger import ledger_url, runs
from tickloom.ledger.models import ACTIVE, SUCCESS, Run, Stage
from tickloom.ledger.runs import AlreadyFinished

router = APIRouter(tags=["tasks"])
TaskId = Annotated[str, Path(min_length=1, max_length=64, description="the task_id that a submission answered")]


def _time(us: int | None) -> str | None:
    return None if us is None else datetime.fromtimestamp(us / 1e6, UTC).isoformat().replace("+00:00", "Z")


def _stage_status(row: Stage) -> StageStatus:
    seconds = ((row.updated or 0) - (row.started or 0)) / 1e6
    progress = 1.0 if row.state == SUCCESS else (row.done / row.total if row.total else 0.0)
    return StageStatus(
        stage=row.stage,
        state=row.state,  # type: ignore[arg-type]
        progress=min(progress, 1.0),
        done=row.done,
        total=row.total,
        rows=row.rows,
        rows_per_s=round(row.rows / seconds, 1) if row.rows and seconds > 0 else None,
        message=row.message,
        warnings=row.warnings,
        attempt=row.attempt,
        cached=row.cached,
        artifact_id=row.artifact_id,
        error=row.error,
        started=_time(row.started),
        finished=_time(row.finished),
    )


def task_status(run: Run, rows: list[Stage]) -> TaskStatus:
    """Return a run as its clients see it."""
    stages = [_stage_status(row) for row in rows]
    current = next((stage for stage in stages if stage.state != SUCCESS), stages[-1])
    return TaskStatus(
        task_id=run.id,
        kind=run.kind,
        name=run.name,
        state=run.state,  # type: ignore[arg-type]
        stage=current.stage,
        progress=sum(stage.progress for stage in stages) / len(stages),
        rows=current.rows,
        rows_per_s=current.rows_per_s,
        message=current.message,
        warnings=list(dict.fromkeys(text for stage in stages for text in stage.warnings)),
        artifact_id=run.artifact_id,
        error=run.error if run.state not in ACTIVE else current.error,
        created=_time(run.created) or "",
        finished=_time(run.finished),
        stages=stages,
    )


@router.get("/status/{task_id}", responses=problems(UnknownTask), summary="How far a task is")
def status(task_id: TaskId) -> TaskStatus:
    """Tell a task's state (PENDING, STARTED, RETRY, SUCCESS, FAILURE, REVOKED), stage, progress, result or error."""
    return task_status(*runs.read(ledger_url(), task_id))


@router.delete("/tasks/{task_id}", responses=problems(UnknownTask, AlreadyFinished), summary="Cancel a task")
def cancel(task_id: TaskId) -> TaskStatus:
    """Revoke a task for good: nothing of it is published afterwards. Partitions that were finished stay for others."""
    runs.cancel(ledger_url(), task_id)
    return task_status(*runs.read(ledger_url(), task_id))


@router.get("/tasks", responses=problems(InvalidRequest), summary="List tasks")
def tasks(
    state: Annotated[State | None, Query(description="only tasks in this state")] = None,
    kind: Annotated[
        str | None, Query(pattern=f"^({'|'.join(STAGES)}|pipeline)$", description="a stage, or pipeline")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before")] = None,
) -> TaskList:
    """List tasks, newest first."""
    found = runs.listing(ledger_url(), state=state, kind=kind, limit=limit + 1, before=_before(cursor))
    page = found[:limit]
    more = len(found) > limit
    return TaskList(
        tasks=[task_status(run, rows) for run, rows in page],
        next=_cursor(page[-1][0]) if more else None,
    )


def _cursor(run: Run) -> str:
    return base64.urlsafe_b64encode(f"{run.created}.{run.id}".encode()).decode()


def _before(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    try:
        created, _, run_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition(".")
        return int(created[:18]), run_id
    except (ValueError, binascii.Error, UnicodeError):
        raise InvalidRequest("cursor", "it is not one that this service gave out") from None
