"""GET /status/<id>, GET /tasks, DELETE /tasks/<id>, live events: what became of the work, from the ledger alone."""

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from fastapi.sse import EventSourceResponse

from api_gateway.live import live
from api_gateway.models import TaskList, TaskStatus
from api_gateway.status import task_status
from tickloom.contracts.recheck import RECHECK
from tickloom.contracts.stages import STAGES
from tickloom.errors import InvalidRequest, UnknownTask
from tickloom.http import problems
from tickloom.ledger import ledger_url, runs
from tickloom.ledger.models import Run, State
from tickloom.ledger.runs import AlreadyFinished

router = APIRouter(tags=["tasks"])
TaskId = Annotated[str, Path(min_length=1, max_length=64, description="the task_id that a submission answered")]


@router.get("/status/{task_id}", responses=problems(UnknownTask), summary="How far a task is")
def status(task_id: TaskId) -> TaskStatus:
    """Tell a task's state (PENDING, STARTED, RETRY, SUCCESS, FAILURE, REVOKED), stage, progress, result or error."""
    return task_status(*runs.read(ledger_url(), task_id))


@router.get(
    "/tasks/{task_id}/events",
    response_class=EventSourceResponse,
    responses=problems(UnknownTask),
    summary="Follow a task live",
)
async def events(now: Annotated[TaskStatus, Depends(status)]) -> AsyncIterator[TaskStatus]:
    """Send the task's status as a server-sent event now, whenever it changes, and a last time when it has ended."""
    async for changed in live.watch(now):
        yield changed


@router.delete("/tasks/{task_id}", responses=problems(UnknownTask, AlreadyFinished), summary="Cancel a task")
def cancel(task_id: TaskId) -> TaskStatus:
    """Revoke a task for good: nothing of it is published afterwards. Partitions that were finished stay for others."""
    runs.cancel(ledger_url(), task_id)
    return task_status(*runs.read(ledger_url(), task_id))


@router.get("/tasks", responses=problems(InvalidRequest), summary="List tasks")
def tasks(
    state: Annotated[State | None, Query(description="only tasks in this state")] = None,
    kind: Annotated[
        str | None,
        Query(pattern=f"^({'|'.join(STAGES)}|pipeline|{RECHECK})$", description="a stage, pipeline, or recheck"),
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
