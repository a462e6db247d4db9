"""A download from request to manifest, in this process."""

import json
from typing import Any

from services.download.adapters.fetch import Patience
from services.download.job import DownloadJob
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.download import CERTIFICATES, VERSION, DownloadRequest
from tickloom.contracts.events import Progress, StageCall
from tickloom.http import Report
from tickloom.identity import artifact_id
from tickloom.lake import Lake, open_lake

PATIENCE = Patience(backoff_s=0.02, read_timeout_s=1.5, connect_timeout_s=2.0)
SMALL = "seed=7,trades_per_day=400"


def call_of(**fields: Any) -> StageCall:
    request = DownloadRequest.model_validate(fields).canonical()
    return StageCall(artifact_id=artifact_id("download", VERSION, request, []), request=request)


class Stage:
    """The stage, impatient, and what it told while it ran."""

    def __init__(self) -> None:
        self.told: list[Progress] = []

    @property
    def lake(self) -> Lake:
        return open_lake()

    def run(self, **fields: Any) -> Manifest:
        return DownloadJob(PATIENCE).run(call_of(**fields), Report(self.told.append))

    def sim(self, fault: str = "", start: str = "2024-01-05", end: str = "", **fields: Any) -> Manifest:
        dataset = f"{SMALL},{fault}" if fault else SMALL
        whole = {"symbols": ["BTCUSDT"], "start_date": start, "end_date": end or start, "dataset": dataset} | fields
        whole = {"quality": {"klines": False}} | whole  # for speed: test_klines.py has the comparison
        return self.run(venue="sim", **whole)

    def certificates(self, manifest: Manifest) -> list[dict[str, Any]]:
        """Return the quality certificates of a run."""
        found: list[dict[str, Any]] = json.loads(self.lake.read_bytes(self.lake.entry(manifest, CERTIFICATES)))
        return found

    def record(self, manifest: Manifest) -> dict[str, Any]:
        """Return the quality record of the first source of a run."""
        entry = next(e for e in manifest.under("quality/") if e.name != CERTIFICATES)
        found: dict[str, Any] = json.loads(self.lake.read_bytes(entry))
        return found


def partitions(manifest: Manifest) -> dict[str, str]:
    """Return name -> SHA-256 of the data, without the quality records: those tell how it came."""
    return {entry.name: entry.sha256 for entry in manifest.files if not entry.name.startswith("quality/")}
