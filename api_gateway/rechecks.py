"""Looking again at the archives that downloads were made from: which can be looked at, and when it is time to."""

from collections.abc import Iterator

from tickloom.contracts.artifact import Manifest
from tickloom.contracts.download import DownloadRequest
from tickloom.contracts.stages import STAGES
from tickloom.errors import InvalidRequest
from tickloom.lake import open_lake
from tickloom.ledger import editions, ledger_url
from tickloom.ledger.runs import Submission

DOWNLOAD = STAGES[0]


def ask(manifest: Manifest) -> tuple[str, bool]:
    """Record a recheck of the download that an artifact was made from; return (task, whether it is new).

    Raises InvalidRequest where there is nothing to ask: an import is pinned by its SHA-256.
    """
    download = open_lake().ancestor(manifest, DOWNLOAD)
    if "archives" not in download.facts or not download.facts["archives"]:
        reason = "it was made from files of the import folder, which its request names by SHA-256"
        raise InvalidRequest("artifact_id", f"{download.id} has no archives to ask an exchange for: {reason}")
    return editions.recheck(ledger_url(), download.id, _name(download))


def ask_all(limit: int) -> Iterator[tuple[str, bool]]:
    """Record a recheck of each download that is not stale, at most `limit`: those not looked at for longest first."""
    lake = open_lake()
    for download_id in editions.current_downloads(ledger_url(), limit):
        manifest = lake.find(download_id)
        if manifest is not None and manifest.facts.get("archives"):
            yield editions.recheck(ledger_url(), download_id, _name(manifest))


def ask_if_old(submission: Submission) -> bool:
    """Record a recheck when a submission is answered with a download that nobody has looked at for a day.

    Only a few rows are written here: the exchange is asked by the download stage.
    """
    first = submission.stages[0]
    if first.stage != DOWNLOAD or first.request.get("venue") == "file":
        return False
    if not editions.is_due(ledger_url(), first.artifact_id):
        return False
    manifest = open_lake().find(first.artifact_id)
    if manifest is None or not manifest.facts.get("archives"):
        return False
    return editions.recheck(ledger_url(), first.artifact_id, _name(manifest))[1]


def _name(download: Manifest) -> str:
    return DownloadRequest.model_validate(download.request).title()
