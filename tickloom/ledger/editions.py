"""Archives that an exchange has replaced: which artifacts are stale, and which edition of a download is the newest.

A stale artifact stays as it is, readable under its id. The same request, submitted again, gets the next edition:
another number in the request that is recorded, and so another id.
"""

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tickloom.contracts.artifact import Manifest
from tickloom.contracts.recheck import RECHECK, VERSION, RecheckRequest
from tickloom.identity import artifact_id, digest
from tickloom.ledger import runs
from tickloom.ledger.database import insert_new, now_us, transaction
from tickloom.ledger.models import Artifact, Recheck, Stage, Stale

NAMED = 100
DAY_US = 86_400_000_000


def newest(url: str, id_of: Callable[[int], str]) -> int:
    """Return the first edition of a download, 0, 1, ..., that is not stale. `id_of` makes an artifact id of each."""
    edition = 0
    with transaction(url, write=False) as session:
        while session.get(Stale, id_of(edition)) is not None:
            edition += 1
    return edition


def stale(url: str, ids: Iterable[str]) -> dict[str, Stale]:
    """Return those of these artifacts that are stale, by id."""
    with transaction(url, write=False) as session:
        found = {row.artifact_id: row for row in session.scalars(select(Stale).where(Stale.artifact_id.in_(list(ids))))}
        session.expunge_all()
        return found


def committed(session: Session, manifest: Manifest, sha256: str) -> None:
    """Take in an artifact that is being committed: what it says of archives, or inherits from what it was made of.

    sha256  of the manifest
    """
    if manifest.stage == RECHECK:
        (download_id,) = manifest.inputs
        insert_new(session, Recheck, [{"download_id": download_id}])
        session.get_one(Recheck, download_id).done += 1
        if manifest.facts["changed"]:
            _mark(session, download_id, manifest.facts["changed"])
        return
    again = session.get(Recheck, manifest.id)
    if again is not None and again.forgotten is not None:
        if again.forgotten != sha256:  # the lake lost it, and its archives were replaced before it was made anew
            _mark(session, manifest.id, [])
        again.forgotten = None
    for made_of in manifest.inputs:
        known = session.get(Stale, made_of)
        if known is not None:
            _add(session, [manifest.id], known.download_id, known.archives)


def _mark(session: Session, download_id: str, archives: Sequence[str]) -> None:
    """Mark a download and all that was or will be made of it."""
    found, frontier = {download_id}, [download_id]
    while frontier:
        made: set[str] = set()
        for begin in range(0, len(frontier), 1000):
            some = Stage.input_artifact_id.in_(frontier[begin : begin + 1000])
            made.update(session.scalars(select(Stage.artifact_id).where(some, Stage.stage != "download")))
        frontier = sorted(made - found)
        found.update(frontier)
    _add(session, sorted(found), download_id, list(archives)[:NAMED])


def _add(session: Session, ids: Sequence[str], download_id: str, archives: Sequence[str]) -> None:
    row = {"since": now_us(), "download_id": download_id, "archives": list(archives)}
    insert_new(session, Stale, [{"artifact_id": artifact} | row for artifact in ids])


def recheck(url: str, download_id: str, name: str) -> tuple[str, bool]:
    """Record that a download's archives are to be compared; return (run id, whether it is new).

    While that is under way, asking again is answered with its run.
    """
    with transaction(url) as session:
        insert_new(session, Recheck, [{"download_id": download_id}])
        row = session.get_one(Recheck, download_id)
        row.asked, number = now_us(), row.done + 1
    request = RecheckRequest(recheck=download_id, number=number).canonical()
    made = artifact_id(RECHECK, VERSION, request, [download_id])
    # The download stage does it: it knows how to ask an exchange.
    stages = [runs.PlannedStage("download", request, made, download_id)]
    return runs.accept(url, runs.Submission(RECHECK, name, request, stages, digest({"kind": RECHECK, "made": made})))


def current_downloads(url: str, limit: int) -> list[str]:
    """Return the downloads that are not stale, those first whose archives were not compared for the longest time."""
    seen = func.coalesce(func.nullif(Recheck.asked, 0), Artifact.created)
    query = (
        select(Artifact.id)
        .outerjoin(Recheck, Recheck.download_id == Artifact.id)
        .outerjoin(Stale, Stale.artifact_id == Artifact.id)
        .where(Artifact.stage == "download", Stale.artifact_id.is_(None))
        .order_by(seen, Artifact.id)
        .limit(limit)
    )
    with transaction(url, write=False) as session:
        return list(session.scalars(query))


def is_due(url: str, download_id: str) -> bool:
    """Return whether this download is a day old, and its archives were not compared for a day."""
    with transaction(url, write=False) as session:
        made, row = session.get(Artifact, download_id), session.get(Recheck, download_id)
        if made is None or session.get(Stale, download_id) is not None:
            return False
        return now_us() - max(made.created, row.asked if row is not None else 0) > DAY_US
