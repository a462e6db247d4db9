"""The download stage: which archives, in which order, what became of them, and what is put right afterwards."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from services.download.adapters import imports
from services.download.adapters.compare import compare
from services.download.adapters.fetch import Patience
from services.download.adapters.recheck import ask_again
from services.download.adapters.tally import counting
from services.download.adapters.waiting import telling
from services.download.domain.absence import absence
from services.download.domain.archives import Archive, plan
from services.download.domain.batches import batches, called
from services.download.domain.certificate import summary as grades
from services.download.domain.editions import served
from services.download.domain.errors import BadSource, NothingThere
from services.download.domain.evidence import evidence_of
from services.download.domain.quality import summary
from services.download.domain.series import Series
from services.download.domain.standins import check_standins, note_standins
from services.download.domain.verdict import Verdict, judge
from services.download.remote import STAGE, Repair, compare_month, exchange_of, fetch_archives, import_file
from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.contracts.download import CERTIFICATES, VERSION, DownloadRequest
from tickloom.contracts.events import StageCall
from tickloom.contracts.recheck import RECHECK, RecheckRequest
from tickloom.contracts.recheck import VERSION as RECHECK_VERSION
from tickloom.fanout import Task, cpus, map_unordered
from tickloom.http import Report
from tickloom.identity import canonical, digest, sha256_file
from tickloom.lake import Lake, open_lake
from tickloom.settings import settings

Result = TypeVar("Result")
_SMALL = 1 << 22
"""Bytes of files that are looked through here rather than by other processes."""


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
        if RECHECK in call.request:
            return lake.put_manifest(_rechecked(lake, call, report, self._patience))
        request = DownloadRequest.model_validate(call.request)
        if request.venue == "file":
            gathered = _imported(lake, request, report)
        else:
            gathered = _Download(lake, request, report, self._patience).run()
        verdict = _judged(request, gathered, report)
        return lake.put_manifest(_manifest(lake, call, request, gathered, verdict))


@dataclass
class _Gathered:
    """What the tasks of a run brought back."""

    parts: list[Part] = field(default_factory=list)
    missing: dict[str, list[date]] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)  # of trades from an exchange, by symbol
    comparisons: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    archives: dict[str, str] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)  # what is wrong, by the names of monthly archives


def _judged(request: DownloadRequest, gathered: _Gathered, report: Report) -> Verdict:
    """Grade what was gathered, and tell what there is to warn of. Raises QualityTooLow."""
    known = [
        evidence_of(
            symbol,
            request,
            gathered.parts,
            comparisons=gathered.comparisons.get(symbol),
            series=gathered.series.get(symbol),
        )
        for symbol in request.all_symbols()
    ]
    verdict = judge(request.quality, known)
    for text in verdict.warnings:
        report.warn(text)
    if verdict.warnings:
        n_parts, rows = len(gathered.parts), sum(part.facts["quality"]["rows"] for part in gathered.parts)
        report.progress(n_parts, n_parts, rows, "graded the data")
    return verdict


def _manifest(lake: Lake, call: StageCall, request: DownloadRequest, gathered: _Gathered, verdict: Verdict) -> Manifest:
    left_out = {f"{symbol}/{day}.parquet" for symbol, days in verdict.left_out.items() for day in days}
    named = {entry.name: entry for part in gathered.parts for entry in part.files}
    named |= {entry.name: entry for series in gathered.series.values() for entry in series.entries.values()}
    files = [entry for name, entry in named.items() if name not in left_out]
    records = [one.record() for months in verdict.certificates.values() for one in months]
    files = sorted([*files, lake.add_bytes(CERTIFICATES, canonical(records))], key=lambda entry: entry.name)
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
        "archives": gathered.archives,
        "quality": summary(
            [part.facts["quality"] for part in gathered.parts], gathered.missing, gathered.series.values()
        )
        | {"left_out_days": {symbol: [d.isoformat() for d in days] for symbol, days in verdict.left_out.items()}}
        | ({"unusable_archives": gathered.unusable} if gathered.unusable else {}),
        "certificates": grades(verdict.certificates),
        "corrections": {symbol: series.account() for symbol, series in gathered.series.items()},
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

    A month without an archive (yet), or whose archive cannot be used, is read from its daily ones, and so is a day that
    a month lacks. A day without an archive is a hole when a later one exists; else it is not published yet, an error.
    """

    def __init__(self, lake: Lake, request: DownloadRequest, report: Report, patience: Patience) -> None:
        self._lake, self._request, self._report = lake, request, report
        self._source = {"venue": request.venue or settings().venue, "dataset": request.dataset}
        self._exchange = exchange_of(request, patience)
        self._message = ""
        self._found: dict[Archive, Part | None] = {}
        self._unusable: dict[Archive, BadSource] = {}
        self._total = self._rows = self._n_compared = 0
        self._telling = threading.Lock()
        self._seen = (0, 0)  # archives and rows, by the tally of tasks at work

    def run(self) -> _Gathered:
        plans = plan(self._request)
        self._fetch([archive for archives in plans for archive in archives])
        # The last day first: when it is missing, nothing is published yet, and the other days need not be asked for.
        ends = [last for *_, last in plans if self._found[last] is None and last not in self._unusable]
        self._fetch([archive.dailies()[-1] for archive in ends if archive.monthly])
        for archive in ends:
            self._require(archive.dailies()[-1] if archive.monthly else archive)
        dailies = {archive: self._dailies(archive) for archives in plans for archive in archives if archive.monthly}
        self._fetch([daily for needed in dailies.values() for daily in needed])
        gathered = _Gathered(unusable=self._replaced())
        for archives in plans:
            if self._request.data_type != "klines":
                gathered.series[archives[0].symbol] = Series(archives[0].symbol)
            for archive in archives:
                self._gather(archive, dailies.get(archive, []), gathered)
        note_standins(self._unusable, self._found, gathered.series)
        self._compare(gathered)
        repair = Repair(self._lake, self._request, self._exchange, self._source, self._each, self._say)
        repair.run(gathered.series)
        for symbol, series in gathered.series.items():
            gathered.missing[symbol] = [day for day in gathered.missing[symbol] if day not in series.entries]
        gathered.archives = served(self._found)
        if self._request.quality.klines and self._request.interval is None:
            gathered.comparisons = self._compared(gathered)
        return gathered

    def _compared(self, gathered: _Gathered) -> dict[str, dict[str, dict[str, Any]]]:
        """Return by symbol and month how the trades compare with the official 1-minute klines."""
        request = self._request
        leaves_out = request.market != "spot" and request.data_type == "aggTrades"
        months: dict[Archive, list[FileEntry]] = {}
        for symbol, series in gathered.series.items():
            for day, entry in sorted(series.entries.items()):
                archive = Archive(request.market, "klines", "1m", symbol, day.replace(day=1), True)
                months.setdefault(archive, []).append(entry)
        tasks = [
            Task(
                f"download klines {archive.symbol} {archive.label}",
                compare_month,
                (self._lake, self._exchange, self._source, archive, tuple(entries), leaves_out),
            )
            for archive, entries in months.items()
        ]
        self._total += len(tasks)
        found: dict[str, dict[str, dict[str, Any]]] = {}
        with telling(self._exchange.limiter, self._exchange.host, self._tell, self._report.warn):
            for index, (compared, klines) in self._each(tasks):
                gathered.archives |= klines
                archive = list(months)[index]
                found.setdefault(archive.symbol, {})[archive.label] = compared
                self._n_compared += 1
                self._say(f"{archive.symbol} {archive.label}: held against the official klines")
        return found

    def _require(self, archive: Archive) -> None:
        if self._found[archive] is None:
            raise absence(archive, self._found, datetime.now(UTC))

    def _dailies(self, month: Archive) -> list[Archive]:
        """Return the daily archives that stand in for a month's, or for days that it lacks."""
        part = self._found[month]
        if part is None:
            return month.dailies()
        return [month.daily(date.fromisoformat(day)) for day in part.facts["quality"]["missing_days"]]

    def _replaced(self) -> dict[str, str]:
        """Return what is wrong, by name, with monthly archives that daily ones stand in for; warn of them.

        Raises it where they cannot.
        """
        check_standins(self._unusable, self._found)
        for month, error in self._unusable.items():
            self._report.warn(f"{month.stem}.zip cannot be used, its daily archives count instead: {error}")
            self._tell()
        return {f"{month.stem}.zip": error.code() for month, error in self._unusable.items()}

    def _gather(self, archive: Archive, dailies: list[Archive], gathered: _Gathered) -> None:
        part = self._found[archive]
        whole = [part] if part is not None else []
        parts = [found for daily in dailies if (found := self._found[daily]) is not None]
        gathered.parts += whole + parts
        present = {day for found in whole + parts for day in found.facts["days"]}
        lacking = [day.first for day in archive.dailies() if day.first.isoformat() not in present]
        gathered.missing.setdefault(archive.symbol, []).extend(lacking)
        series = gathered.series.get(archive.symbol)
        if series is not None:
            if part is not None:
                series.take(archive, part)
            for found in parts:
                series.take_daily(found, month=part)

    def _compare(self, gathered: _Gathered) -> None:
        """Fetch the daily archives of days in doubt; where one differs from the monthly archive, it counts."""
        doubts = [
            (series, day, why)
            for series in gathered.series.values()
            for day, why in series.doubts(self._request.compare).items()
        ]
        self._fetch([series.monthly[day] for series, day, _ in doubts])
        differing = [
            (series, why, part, entry)
            for series, day, why in doubts
            if (part := self._found[series.monthly[day]]) is not None
            and (entry := series.differing(day, part)) is not None
        ]
        tasks = [
            Task(f"download {entry.name} compared with its day", compare, (self._lake, series.standing(entry), entry))
            for series, _, _, entry in differing
        ]
        for index, differs in self._each(tasks, sum(entry.bytes for *_, entry in differing)):
            series, why, part, entry = differing[index]
            gathered.parts.append(part)
            series.prefer(entry, why, differs)

    def _each(self, tasks: Sequence[Task[Result]], size: int | None = None) -> Iterator[tuple[int, Result]]:
        """Yield what tasks return as they finish; they run here where the files that they read have few bytes."""
        small = size is not None and size < _SMALL
        if tasks:
            yield from map_unordered(tasks, small=small, cancelled=self._report.cancelled, warn=self._report.warn)

    def _say(self, message: str) -> None:
        self._message = message
        self._tell()

    def _fetch(self, archives: list[Archive]) -> None:
        """Fetch what has not been asked for in this run, side by side."""
        archives = [archive for archive in archives if archive not in self._found]
        if not archives:
            return
        self._total += len(archives)
        calls, before = batches(archives, cpus()), (len(self._found), self._rows)
        with (
            counting(self._exchange.notes / "tallies", lambda n, rows: self._count(before, n, rows)) as tally,
            telling(self._exchange.limiter, self._exchange.host, self._tell, self._report.warn),
        ):
            tasks = (
                Task(
                    called(call),
                    fetch_archives,
                    (self._lake, self._exchange, call, self._source, own),
                    alive=own.alive,
                )
                for call, own in ((call, tally.of_task(n)) for n, call in enumerate(calls))
            )
            for index, parts in map_unordered(tasks, cancelled=self._report.cancelled, warn=self._report.warn):
                for archive, part in zip(calls[index], parts, strict=True):
                    self._note(archive, part)
                self._tell()
        self._seen = (0, 0)

    def _note(self, archive: Archive, part: Part | BadSource | None) -> None:
        if isinstance(part, BadSource):
            self._unusable[archive], part = part, None
        self._found[archive] = part
        self._rows += part.facts["quality"]["rows"] if part is not None else 0
        self._message = f"{archive.symbol} {archive.label}" + ("" if part is not None else ": no such archive")

    def _count(self, before: tuple[int, int], n_archives: int, rows: int) -> None:
        """Take note of what tasks at work have read beside what was known before them."""
        self._seen = (before[0] + n_archives, before[1] + rows)
        self._tell()

    def _tell(self, waiting: str = "") -> None:
        with self._telling:  # three threads tell: what is told never goes back
            done, rows = max(len(self._found), self._seen[0]) + self._n_compared, max(self._rows, self._seen[1])
            self._report.progress(min(done, self._total), self._total, rows, waiting or self._message)


def _rechecked(lake: Lake, call: StageCall, report: Report, patience: Patience) -> Manifest:
    """Return what became of the archives of a download. What is stale then, the ledger decides when it commits this."""
    made = lake.manifest(RecheckRequest.model_validate(call.request).recheck)
    archives, done, waiting = made.facts["archives"], 0, ""
    exchange = exchange_of(DownloadRequest.model_validate(made.request), patience)

    def tell(n: int | None = None, reason: str | None = None) -> None:
        nonlocal done, waiting
        done, waiting = done if n is None else n, waiting if reason is None else reason
        report.progress(done, len(archives), 0, waiting or "comparing checksums")

    with (
        telling(exchange.limiter, exchange.host, lambda reason: tell(reason=reason), report.warn),
        exchange.fetcher(report.cancelled) as fetcher,
    ):
        found = ask_again(fetcher, exchange.base_url, archives, report, tell)
    for text in found.warnings():
        report.warn(text)
    tell()
    return Manifest(
        id=call.artifact_id,
        stage=RECHECK,
        version=RECHECK_VERSION,
        request=call.request,
        inputs=call.inputs,
        files=(),
        facts=found.facts(),
    )


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
        works.append(
            imports.Import(pinned.path, sha256, symbol, request.market, request.data_type, interval, first, last)
        )
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


def _work_key(work: imports.Import) -> dict[str, Any]:
    span = {"first": str(work.first), "last": str(work.last)}
    return {"version": VERSION, "venue": "file", **{k: v for k, v in vars(work).items() if k not in span}, **span}
