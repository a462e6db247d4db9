"""POST /artifacts/<id>/recheck and POST /recheck: ask the exchange whether its archives are still the same."""

from typing import Annotated

from fastapi import APIRouter, Query

from api_gateway import rechecks
from api_gateway.models import Accepted, AcceptedList
from api_gateway.routes.artifacts import Id, committed
from api_gateway.routes.submit import accepted
from tickloom import queue
from tickloom.errors import InvalidRequest, UnknownArtifact
from tickloom.http import problems

router = APIRouter(tags=["artifacts"])


@router.post(
    "/artifacts/{artifact_id}/recheck",
    status_code=202,
    responses=problems(UnknownArtifact, InvalidRequest),
    summary="Ask the exchange whether the archives behind an artifact are still the same",
)
def recheck(artifact_id: Id) -> Accepted:
    """Compare the checksums of all archives that an artifact was made from with those that are served now, as a task.

    Where one differs, the download and all that was made of it are stale from then on. They stay readable; the same
    request, submitted again, is computed from the new archive.
    """
    run_id, created = rechecks.ask(committed(artifact_id))
    if created:
        queue.ring()
    return accepted(run_id, created)


@router.post(
    "/recheck", status_code=202, responses=problems(InvalidRequest), summary="Recheck every download that is not stale"
)
def recheck_all(
    limit: Annotated[int, Query(ge=1, le=1000, description="downloads; those not looked at for longest first")] = 100,
) -> AcceptedList:
    """Start a task for each download, as POST /artifacts/{id}/recheck does."""
    found = list(rechecks.ask_all(limit))
    queue.ring()
    return AcceptedList(tasks=[accepted(run_id, created) for run_id, created in found])
