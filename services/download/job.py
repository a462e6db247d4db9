"""The download stage: which archives, in which order, and what became of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from services.download.adapters import imports
from services.download.adapters.fetch import Patience
from services.download.domain.archives import Archive, plan
from services.download.domain.errors import NothingThere, NotPublished
from services.download.domain.quality import summary
from services.download.remote import STAGE, Exchange, Import, fetch_archive, import_file
from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.contracts.download import VERSION, DownloadRequest
from tickloom.contracts.events import StageCall
from tickloom.fanout import Task, map_unordered
from tickloom.http import Report
from tickloom.identity import digest, sha256_file
from tickloom.lake import Lake, open_lake
from tickloom.settings import settings


class DownloadJob:
    """Fetches or imports what a request asks for and publishes it as one artifact."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()

    def run(self, call: StageCall, report: Report) -> Manifest:
        """Make the artifact and return its manifest. Raises the errors of domain/errors.py, and StageCancelled."""
        lake = open_lake()
        done = lake.find(call.artifact_id)
        if done is not None:
            return done
        request = DownloadRequest.model_validate(call.request)
        if request.venue == "file":
            gathered = _imported(lake, request, report)
        else:
            gathered = _Download(lake, request, report, self._patience).run()
        return lake.put_manifest(_manifest(call, request, gathered))


@dataclass
class _Gathered:
    """What the tasks of a run brought back."""

    parts: list[Part] = field(default_factory=list)
    missing: dict[str, list[date]] = field(default_factory=dict)
    repaired: dict[str, list[date]] = field(default_factory=dict)


def _manifest(call: StageCall, request: DownloadRequest, gathered: _Gathered) -> Manifest:
    files = sorted((entry for part in gathered.parts for entry in part.files), key=lambda entry: entry.name)
    symbols = {symbol: _symbol_facts(symbol, files) for symbol in request.all_symbols()}
    for symbol, facts in symbols.items():
        if not facts["rows"]:
            period = (request.start_date or "its first day", request.end_date or "its last")
            raise NothingThere(symbol, *period)
    facts = {
        "market": request.market,
        "data_type": request.data_type,
        "interval": request.interval,
        "symbols": symbols,
        "quality": summary([part.facts["quality"] for part in gathered.parts], gathered.missing, gathered.repaired),
    }
    return Manifest(
        id=call.artifact_id,
        stage=STAGE,
        version=VERSION,
        request=call.request,
        inputs=call.inputs,
        files=tuple(files),
        facts=facts,
    )


def _symbol_facts(symbol: str, files: Iterable[FileEntry]) -> dict[str, Any]:
    entries = [entry for entry in files if entry.name.startswith(f"{symbol}/")]
    if not entries:
        return {"rows": 0}
    return {
        "partitions": len(entries),
        "rows": sum(entry.rows or 0 for entry in entries),
        "first_ts": min(entry.facts["first_ts"] for entry in entries),
        "last_ts": max(entry.facts["last_ts"] for entry in entries),
        "price_scale": max(entry.facts["price_scale"] for entry in entries),
        "quantity_scale": max(entry.facts["quantity_scale"] for entry in entries),
    }


class _Download:
    """One run against an exchange's archives.

    A month that has no monthly archive (yet) is read from its daily ones, and so is a day that the monthly archive
    lacks. A day without an archive is a hole when a later one exists; else it is not published yet, an error.
    """

    def __init__(self, lake: Lake, request: DownloadRequest, report: Report, patience: Patience) -> None:
        self._lake, self._request, self._report = lake, request, report
        venue = request.venue or settings().venue
        dataset = f"/datasets/{request.dataset}" if request.dataset else ""
        self._source = {"venue": venue, "dataset": request.dataset}
        base = f"{settings().sim()}{dataset}" if venue == "sim" else settings().binance_archive_url
        home = settings().home.resolve()
        self._exchange = Exchange(base.rstrip("/"), home / "exchange", venue == "binance", patience)
        self._found: dict[Archive, Part | None] = {}
        self._total = self._rows = 0

    def run(self) -> _Gathered:
        plans = plan(self._request)
        self._fetch([archive for archives in plans for archive in archives])
        # The last day first: when it is missing, nothing is published yet, and the other days need not be asked for.
        ends = [archives[-1] for archives in plans if self._found[archives[-1]] is None]
        self._fetch([archive.dailies()[-1] for archive in ends if archive.monthly])
        for archive in ends:
            self._require(archive.dailies()[-1] if archive.monthly else archive)
        dailies = {archive: self._dailies(archive) for archives in plans for archive in archives if archive.monthly}
        self._fetch([daily for needed in dailies.values() for daily in needed])
        gathered = _Gathered()
        for archives in plans:
            for archive in archives:
                self._gather(archive, dailies.get(archive, []), gathered)
        return gathered

    def _require(self, archive: Archive) -> None:
        if self._found[archive] is None:
            raise NotPublished(archive.stem, archive.published.isoformat())

    def _dailies(self, month: Archive) -> list[Archive]:
        """Return the daily archives that stand in for a month's, or for days that it lacks."""
        part = self._found[month]
        if part is None:
            return month.dailies()
        return [month.daily(date.fromisoformat(day)) for day in part.facts["quality"]["missing_days"]]

    def _gather(self, archive: Archive, dailies: list[Archive], gathered: _Gathered) -> None:
        part = self._found[archive]
        whole = [part] if part is not None else []
        parts = [found for daily in dailies if (found := self._found[daily]) is not None]
        gathered.parts += whole + parts
        present = {day for found in whole + parts for day in found.facts["days"]}
        lacking = [day.first for day in archive.dailies() if day.first.isoformat() not in present]
        gathered.missing.setdefault(archive.symbol, []).extend(lacking)
        if part is not None:
            repaired = [date.fromisoformat(day) for found in parts for day in found.facts["days"]]
            gathered.repaired.setdefault(archive.symbol, []).extend(repaired)

    def _fetch(self, archives: list[Archive]) -> None:
        """Fetch what has not been asked for in this run, side by side."""
        archives = [archive for archive in archives if archive not in self._found]
        self._total += len(archives)
        waiting = []
        for archive in archives:
            part = self._lake.part(STAGE, self._key(archive))
            if part is None:
                waiting.append(archive)
            else:
                self._note(archive, part)
        tasks = (
            Task(
                f"download {archive.symbol} {archive.label}",
                fetch_archive,
                (self._lake, self._exchange, archive, self._key(archive)),
            )
            for archive in waiting
        )
        for index, part in map_unordered(tasks, cancelled=self._report.cancelled, warn=self._report.warn):
            self._note(waiting[index], part)

    def _key(self, archive: Archive) -> str:
        return digest({"version": VERSION, **self._source, "archive": archive.path})

    def _note(self, archive: Archive, part: Part | None) -> None:
        self._found[archive] = part
        self._rows += part.facts["quality"]["rows"] if part is not None else 0
        message = f"{archive.symbol} {archive.label}" + ("" if part is not None else ": no such archive")
        self._report.progress(len(self._found), self._total, self._rows, message)


def _imported(lake: Lake, request: DownloadRequest, report: Report) -> _Gathered:
    """Read the files of the import folder."""
    folder = settings().import_dir.resolve()
    works = []
    for symbol in request.all_symbols():
        pinned = request.files[symbol]
        file = imports.resolve(folder, pinned.path)
        first = request.first_day() if request.start_date else None
        last = request.last_day() if request.end_date else None
        sha256 = pinned.sha256 or sha256_file(file)
        interval = request.interval or ""
        works.append(Import(pinned.path, sha256, symbol, request.market, request.data_type, interval, first, last))
    tasks = [
        Task(f"download {work.symbol} {work.path}", import_file, (lake, folder, work, digest(_work_key(work))))
        for work in works
    ]
    gathered, rows = _Gathered(parts=[Part()] * len(works)), 0
    small = sum(imports.resolve(folder, work.path).stat().st_size for work in works) < 1 << 22
    for index, part in map_unordered(tasks, small=small, cancelled=report.cancelled, warn=report.warn):
        gathered.parts[index] = part
        gathered.missing[works[index].symbol] = [date.fromisoformat(d) for d in part.facts["quality"]["missing_days"]]
        rows += part.facts["quality"]["rows"]
        report.progress(len(gathered.missing), len(works), rows, works[index].path)
    return gathered


def _work_key(work: Import) -> dict[str, Any]:
    span = {"first": str(work.first), "last": str(work.last)}
    return {"version": VERSION, "venue": "file", **{k: v for k, v in vars(work).items() if k not in span}, **span}
