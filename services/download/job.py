"""The download stage: which archives, in which order, what became of them, and what is put right afterwards."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from services.download.adapters import imports
from services.download.adapters.compare import on_both
from services.download.adapters.daily import Dailies, Doubt
from services.download.adapters.fetch import Patience
from services.download.adapters.kline_days import KlineDailies
from services.download.adapters.official import OfficialBars
from services.download.adapters.recheck import ask_again
from services.download.adapters.tally import counting
from services.download.adapters.waiting import telling
from services.download.domain.absence import absence
from services.download.domain.archives import Archive, plan
from services.download.domain.batches import batches, called
from services.download.domain.certificate import summary as grades
from services.download.domain.editions import served
from services.download.domain.errors import BadSource, IdOnTwoDays, NothingThere
from services.download.domain.evidence import evidence_of
from services.download.domain.quality import summary, symbol_facts
from services.download.domain.series import Series
from services.download.domain.standins import check_standins, note_standins
from services.download.domain.suspicion import UNLIKE, unlike_days
from services.download.domain.verdict import Verdict, judge
from services.download.remote import STAGE, Repair, compare_month, exchange_of, fetch_archives, import_file
from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.contracts.download import CERTIFICATES, VERSION, DownloadRequest
from tickloom.contracts.events import StageCall
from tickloom.contracts.recheck import RECHECK, RecheckRequest
from tickloom.contracts.recheck import VERSION as RECHECK_VERSION
from tickloom.fanout import Task, cpus, map_unordered
from tickloom.http import Report
from tickloom.identity import canonical, sha256_file
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
    series: dict[str, Series] = field(default_factory=dict)  # from an exchange, by symbol; days of trades alone
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
    symbols = {
        symbol: symbol_facts(symbol, files, gathered.comparisons.get(symbol, {})) for symbol in request.all_symbols()
    }
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
            [part.facts["quality"] for part in gathered.parts],
            gathered.missing,
            gathered.series.values(),
            sum(facts["rows"] for facts in symbols.values()),
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


class _Download:
    """One run against an exchange's archives.

    A month without an archive (yet), or whose archive cannot be used, is read from its daily ones, and so is a day that
    a month lacks. A day without an archive is a hole when a later one exists; else it is not published yet, an error.
    """

    def __init__(self, lake: Lake, request: DownloadRequest, report: Report, patience: Patience) -> None:
        self._lake, self._request, self._report = lake, request, report
        self._source = {"venue": request.venue or settings().venue, "dataset": request.dataset}
        self._kind = (request.market, request.data_type)
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
            gathered.series[archives[0].symbol] = Series(archives[0].symbol)
            for archive in archives:
                self._gather(archive, dailies.get(archive, []), gathered)
        note_standins(self._unusable, self._found, gathered.series)
        self._compare(gathered)
        repair = Repair(self._lake, self._request, self._exchange, self._source, self._each, self._say)
        repair.run(gathered.series)
        self._check_days(gathered)
        for symbol, series in gathered.series.items():
            gathered.missing[symbol] = [day for day in gathered.missing[symbol] if day not in series.entries]
        gathered.archives = served(self._found)
        if self._request.quality.klines and self._request.interval is None:
            self._hold_against_klines(gathered)
        return gathered

    def _hold_against_klines(self, gathered: _Gathered) -> None:
        """Compare trades with official klines; where they differ, both are looked at once more, in daily archives."""
        official = OfficialBars(self._kind, self._kline_task, self._each, self._say_compared)
        self._ask_klines(official, gathered, None)
        unlike = {(symbol, day) for symbol, months in official.comparisons.items() for day in unlike_days(months)}
        if unlike:
            doubts = [
                Doubt(series, day, [UNLIKE])
                for symbol, day in sorted(unlike)
                for series in [gathered.series[symbol]]
                if self._request.compare != "none" and day in series.monthly.keys() - set(series.compared)
            ]
            gathered.parts += self._settle(doubts)
            self._check_days(gathered)
            self._ask_klines(official, gathered, unlike)
        gathered.comparisons, gathered.archives = official.comparisons, served(self._found) | official.archives

    def _ask_klines(self, official: OfficialBars, gathered: _Gathered, again: set[tuple[str, date]] | None) -> None:
        with telling(self._exchange.limiter, self._exchange.host, self._tell, self._report.warn):
            official.compare(gathered.series.values(), again)

    def _kline_task(self, month: Archive, entries: tuple[FileEntry, ...], closely: tuple[date, ...]) -> Task[Any]:
        self._total += 1
        leaves_out = self._request.market != "spot" and self._request.data_type == "aggTrades"
        where = (self._lake, self._exchange, self._source, month)
        return Task(
            f"download klines {month.symbol} {month.label}", compare_month, (*where, entries, leaves_out, closely)
        )

    def _say_compared(self, message: str) -> None:
        self._n_compared += 1
        self._say(message)

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
        whole, series = [part] if part is not None else [], gathered.series[archive.symbol]
        parts = [found for daily in dailies if (found := self._found[daily]) is not None]
        gathered.parts += whole + parts
        present = {day for found in whole + parts for day in found.facts["days"]}
        lacking = [day.first for day in archive.dailies() if day.first.isoformat() not in present]
        gathered.missing.setdefault(archive.symbol, []).extend(lacking)
        if self._request.interval is not None:
            for found in parts if part is not None else []:
                series.note_lacking(found)
            return
        if part is not None:
            series.take(archive, part)
        for found in parts:
            series.take_daily(found, month=part)

    def _compare(self, gathered: _Gathered) -> None:
        """Hold days in doubt against their daily archives."""
        if self._request.interval is not None:
            months = {archive: part for archive, part in self._found.items() if archive.monthly and part is not None}
            dailies = KlineDailies(self._lake, self._request.compare, self._fetch, self._each)
            for month, parts in dailies.settle(months, gathered.series).items():
                gathered.parts = [part for part in gathered.parts if part is not months[month]] + parts
            return
        doubts = [
            Doubt(series, day, why)
            for series in gathered.series.values()
            for day, why in series.doubts(self._request.compare).items()
        ]
        gathered.parts += self._settle(doubts)

    def _settle(self, doubts: list[Doubt]) -> list[Part]:
        return Dailies(self._lake, self._kind, self._fetch, self._each).settle(doubts)

    def _check_days(self, gathered: _Gathered) -> None:
        """Look for ids on two days: each archive is well by itself. Raises IdOnTwoDays."""
        pairs = [pair for series in gathered.series.values() for pair in series.overlapping()]
        tasks = [Task(f"download {a.name} beside {b.name}", on_both, (self._lake, a, b)) for a, b in pairs]
        for index, (count, first) in self._each(tasks, sum(a.bytes + b.bytes for a, b in pairs)):
            if count:
                days = sorted(entry.facts["day"] for entry in pairs[index])
                raise IdOnTwoDays(pairs[index][0].facts["symbol"], *days, first, count)

    def _each(self, tasks: Sequence[Task[Result]], size: int | None = None) -> Iterator[tuple[int, Result]]:
        """Yield what tasks return as they finish; they run here where the files that they read have few bytes."""
        small = size is not None and size < _SMALL
        if tasks:
            yield from map_unordered(tasks, small=small, cancelled=self._report.cancelled, warn=self._report.warn)

    def _say(self, message: str) -> None:
        self._message = message
        self._tell()

    def _fetch(self, archives: list[Archive]) -> dict[Archive, Part | None]:
        """Fetch what has not been asked for in this run, side by side; return all parts of this run."""
        archives = [archive for archive in archives if archive not in self._found]
        if not archives:
            return self._found
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
        return self._found

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
        Task(f"download {work.symbol} {work.path}", import_file, (lake, folder, work, work.key())) for work in works
    ]
    gathered, rows = _Gathered(parts=[Part()] * len(works)), 0
    small = sum(imports.resolve(folder, work.path).stat().st_size for work in works) < 1 << 22
    for index, part in map_unordered(tasks, small=small, cancelled=report.cancelled, warn=report.warn):
        gathered.parts[index] = part
        gathered.missing[works[index].symbol] = [date.fromisoformat(d) for d in part.facts["quality"]["missing_days"]]
        rows += part.facts["quality"]["rows"]
        report.progress(len(gathered.missing), len(works), rows, works[index].path)
    return gathered
