"""Tasks of the download stage: some archives, one imported file, one question to REST, one day that is mended, each."""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx

from services.download.adapters import imports
from services.download.adapters.alone import alone
from services.download.adapters.archive import open_member
from services.download.adapters.compare import holes
from services.download.adapters.fetch import Fetched, Fetcher, Patience, host_of
from services.download.adapters.ingest import Source, ingest
from services.download.adapters.mend import mend
from services.download.adapters.minutes import read_pair
from services.download.adapters.rest import Question, ask
from services.download.adapters.tally import Tally
from services.download.adapters.unfinished import unfinished
from services.download.domain.archives import Archive
from services.download.domain.corrections import (
    NO_BUDGET,
    NO_REQUESTS,
    Gap,
    Span,
    affordable,
    nothing,
    settle,
    spans,
)
from services.download.domain.editions import served
from services.download.domain.errors import BadSource, ExchangeRefused, RedirectRefused
from services.download.domain.history import NEEDS_KEY, Host, endpoint_of
from services.download.domain.layouts import layout_of
from services.download.domain.minutes import compare_minutes
from services.download.domain.quality import Quality
from services.download.domain.series import Series
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.contracts.download import VERSION, DownloadRequest
from tickloom.errors import ExactnessLost, LakeUnavailable
from tickloom.fanout import Task
from tickloom.identity import digest
from tickloom.lake import Lake
from tickloom.limiter import Limiter, open_limiter
from tickloom.settings import settings

STAGE = "download"


@dataclass(frozen=True)
class Exchange:
    """Where archives come from. None of this influences what is stored."""

    base_url: str
    notes: Path  # folder for locks, shared by the processes of one machine
    proxied: bool  # by the environment's proxy settings: for the real exchange, not for the simulator
    patience: Patience
    limiter: Limiter

    @property
    def host(self) -> str:
        """Return the name under which the limiter knows it."""
        return host_of(self.base_url)

    @contextmanager
    def fetcher(self, cancelled: threading.Event | None = None) -> Iterator[Fetcher]:
        """Yield what asks it. With `cancelled` it stops waiting, by StageCancelled, as soon as that is set."""
        with httpx.Client(timeout=self.patience.timeout(), trust_env=self.proxied) as client:
            yield Fetcher(client, self.limiter, self.patience, cancelled)


def exchange_of(request: DownloadRequest, patience: Patience) -> Exchange:
    """Return the exchange that a request is about, as the settings name it."""
    config, dataset = settings(), f"/datasets/{request.dataset}" if request.dataset else ""
    venue = request.venue or config.venue
    base = f"{config.sim()}{dataset}" if venue == "sim" else config.binance_archive_url
    notes = config.home.resolve() / "exchange"
    return Exchange(base.rstrip("/"), notes, venue == "binance", patience, open_limiter())


def fetch_archives(
    lake: Lake, exchange: Exchange, archives: Sequence[Archive], of: Mapping[str, str], tally: Tally
) -> list[Part | BadSource | None]:
    """Store the partitions of archives, one after the other: for each its part, or None when there is none (404).

    For a monthly archive that cannot be used it is the error: its daily ones may be better.

    of     venue and dataset: whose archives they are
    tally  hears of rows as they are read, and of archives as they are done

    The first error ends the call, and names its archive; the parts made before it stay. Errors are those of
    Fetcher.fetch, open_member and ingest.
    """
    parts: list[Part | BadSource | None] = []
    with exchange.fetcher() as fetcher:
        for archive in archives:
            try:
                parts.append(_fetch_archive(lake, exchange, fetcher, archive, of, tally))
            except BadSource as error:
                if not archive.monthly or isinstance(error, ExchangeRefused | RedirectRefused):
                    raise
                parts.append(error)
    return parts


def _fetch_archive(
    lake: Lake, exchange: Exchange, fetcher: Fetcher, archive: Archive, of: Mapping[str, str], tally: Tally
) -> Part | None:
    """Store an archive as it is served now. What was made of these very bytes before is used again."""
    told = 0

    def tell(rows: int) -> None:
        nonlocal told
        tally.add(0, rows - told)
        told = rows

    tally.beat()
    part = _part_of(lake, exchange, fetcher, archive, of, tell, tally.beat)
    tally.add(1, (part.facts["quality"]["rows"] if part is not None else 0) - told)
    return part


def _part_of(
    lake: Lake,
    exchange: Exchange,
    fetcher: Fetcher,
    archive: Archive,
    of: Mapping[str, str],
    tell: Callable[[int], None] = lambda _: None,
    beat: Callable[[], None] = lambda: None,
) -> Part | None:
    with alone(exchange.notes, digest({**of, "archive": archive.path}), beat) as getting_on:
        url = exchange.base_url + archive.path
        served = fetcher.checksum(url)
        if served is None:
            return None
        part = lake.part(STAGE, _archive_key(of, archive, served))
        if part is not None:
            return part

        def told(rows: int) -> None:
            getting_on()
            tell(rows)

        # A lake may be shared by machines that do not share the lock: each has a file of its own.
        ours = {"host": socket.gethostname(), "locks": str(exchange.notes)}
        kept = digest({**of, **ours, "url": url, "sha256": served})
        try:
            with unfinished(lake.unfinished(), kept) as zipped:
                fetched = fetcher.fetch(url, served, zipped, getting_on)
                return None if fetched is None else _stored(lake, archive, of, zipped, fetched, told)
        except OSError as error:  # of the disk: the network's have names of their own
            raise LakeUnavailable(lake.url, str(error)) from error


def _stored(
    lake: Lake, archive: Archive, of: Mapping[str, str], zipped: Path, fetched: Fetched, tell: Callable[[int], None]
) -> Part:
    """Store the partitions of an archive that was fetched."""
    layout, name = layout_of(archive.market, archive.data_type), f"{archive.stem}.zip"
    source = Source(name, archive.symbol, layout, archive.interval, archive.first, archive.last, archive.stem)
    quality = Quality(name, fetched.served_sha256, fetched.computed_sha256, fetched.bytes)
    with lake.scratch() as scratch, open_member(zipped, name, f"{archive.stem}.csv") as chunks:
        part = ingest(lake, scratch, source, chunks, quality, tell)
    return lake.put_part(STAGE, _archive_key(of, archive, fetched.served_sha256), part)


def _archive_key(of: Mapping[str, str], archive: Archive, sha256: str) -> str:
    return digest({"version": VERSION, **of, "archive": archive.path, "sha256": sha256})


def compare_month(
    lake: Lake,
    exchange: Exchange,
    of: Mapping[str, str],
    month: Archive,
    days: tuple[FileEntry, ...],
    leaves_out: bool,
    closely: tuple[date, ...] = (),
) -> tuple[dict[str, Any], dict[str, str]]:
    """Hold the minutes of stored trades against the exchange's official 1-minute klines.

    Return what is said of each minute that differs, and path -> SHA-256 of the archives of klines that were used.

    month       the klines' archive of the month; where there is none, or for a few days, the daily ones stand in
    days        partitions of trades of that month
    leaves_out  the trades are aggregates of futures
    closely     of these days, what the daily archives of klines say counts

    Klines that the exchange does not have, or that cannot be used, are no fault of the trades: `not_compared` says why.
    Raises the errors of the network: those may pass. CorruptFile.
    """
    try:
        parts = dict(_official(lake, exchange, of, month, _days_of(days), closely))
    except BadSource as error:
        return {"not_compared": f"they cannot be used ({error})"}, {}
    used = served(parts)
    klines = tuple(entry for part in parts.values() for entry in part.files if entry.rows is not None)
    if not klines:
        return {"not_compared": "the exchange has none of these days"}, used
    read = {"trades": [entry.sha256 for entry in days], "klines": [entry.sha256 for entry in klines]}
    key = digest({"version": VERSION, "task": "minutes", "leaves_out": leaves_out, **read})
    part = lake.part(STAGE, key)
    if part is None:
        try:
            pair, both = read_pair(lake, days, klines)
        except ExactnessLost as error:
            return {"not_compared": f"a minute does not fit exact arithmetic ({error})"}, used
        part = lake.put_part(STAGE, key, Part(facts=compare_minutes(pair, both, leaves_out=leaves_out)))
    return part.facts, used


def _days_of(entries: tuple[FileEntry, ...]) -> list[date]:
    return [date.fromisoformat(entry.facts["day"]) for entry in entries]


def _official(
    lake: Lake, exchange: Exchange, of: Mapping[str, str], month: Archive, days: list[date], closely: tuple[date, ...]
) -> Iterator[tuple[Archive, Part]]:
    """Yield archives of official klines and their parts: that of the month for most of its days, else those of days.

    After that of the month come those of the days to be looked at closely; one that cannot be used says nothing.
    """
    with exchange.fetcher() as fetcher:

        def part_of(archive: Archive) -> Part | None:
            return _part_of(lake, exchange, fetcher, archive, of)

        if 2 * len(days) > len(month.dailies()) and (part := part_of(month)) is not None:
            yield month, part
            days = [day for day in days if day.isoformat() not in part.facts["days"]]
            for day in sorted(set(closely) - set(days)):
                with suppress(BadSource):
                    if (part := part_of(month.daily(day))) is not None:
                        yield month.daily(day), part
        for day in reversed(days):
            daily = month.daily(day)
            part = part_of(daily)
            if part is None:  # a symbol without klines has none of any day: it is not asked for thirty
                return
            yield daily, part


def ask_history(lake: Lake, exchange: Exchange, question: Question, key: str) -> Part:
    """Ask the exchange's REST API for ids that its archives lack: see adapters.rest.ask, whose errors these are.

    A refusal (of the address, or of the symbol) is an answer too, and not kept: elsewhere the exchange may not refuse.
    """
    with alone(exchange.notes, key), lake.scratch() as scratch:
        part = lake.part(STAGE, key)
        if part is not None:
            return part
        with exchange.fetcher() as fetcher:
            try:
                return lake.put_part(STAGE, key, ask(lake, scratch, fetcher, question))
            except ExchangeRefused as refused:
                why = f"REST refused with HTTP status {refused.args[1]}"
                return Part(facts=nothing(question.span, why))


def import_file(lake: Lake, folder: Path, work: imports.Import, key: str) -> Part:
    """Import one file and store its partitions. Errors are those of adapters.imports and ingest."""
    with lake.scratch() as scratch:
        part = lake.part(STAGE, key)
        if part is not None:
            return part
        # A copy of our own: the file could change between the check of its hash and the last read.
        named = imports.resolve(folder, work.path)
        file = scratch / f"source{''.join(named.suffixes[-2:])}"
        shutil.copyfile(named, file)
        imports.check_sha256(file, work.path, work.sha256)
        quality = Quality(work.path, work.sha256, work.sha256, file.stat().st_size)
        try:
            with imports.opened(file, named.stem, work) as (source, text):
                part = ingest(lake, scratch, source, text, quality)
        except BadSource as error:
            raise error.of_import() from None
        return lake.put_part(STAGE, key, part)


@dataclass
class Repair:
    """Asks REST for the ids that the days of a run still lack, and makes those days again."""

    lake: Lake
    request: DownloadRequest
    exchange: Exchange
    source: dict[str, str]
    each: Callable[..., Iterator[tuple[int, Any]]]
    say: Callable[[str], None]

    def run(self, series: dict[str, Series]) -> None:
        """Change the series, by symbol: their entries, and the account of what was done."""
        gaps = self._gaps(series)
        answers = self._ask(series, gaps) if gaps else {}
        outcomes = settle(gaps, answers)
        fills: dict[tuple[str, date], list[FileEntry]] = {}
        for span, part in answers.items():
            for entry in part.files:
                fills.setdefault((span.symbol, date.fromisoformat(entry.facts["day"])), []).append(entry)
        mended = self._mend(series, fills)
        for symbol, one in series.items():
            own = {gap: outcome for gap, outcome in outcomes.items() if gap.symbol == symbol}
            one.mend(own, {day: part for (of, day), part in mended.items() if of == symbol})

    def _gaps(self, series: dict[str, Series]) -> list[Gap]:
        """Return the gaps of all symbols, in the order of their ids."""
        gaps = [gap for one in series.values() for gap in one.between()]
        holed = [(one, *pair) for one in series.values() for pair in one.holed()]
        tasks = [
            Task(f"download {entry.name} looked into", holes, (self.lake, entry, beside, one.voids))
            for one, entry, beside in holed
        ]
        for index, found in self.each(tasks, sum(entry.bytes for _, entry, _ in holed)):
            one, entry, _ = holed[index]
            gaps += one.inside(entry, found)
        return sorted(gaps, key=lambda gap: (gap.symbol, gap.after))

    def _ask(self, series: dict[str, Series], gaps: list[Gap]) -> dict[Span, Part]:
        """Return what REST says about gaps, in their order; what it is not asked about has a part with the reason."""
        market, data_type, requests = self.request.market, self.request.data_type, self.request.repair_requests
        endpoint = endpoint_of(market, data_type)
        wanted = spans(gaps, endpoint.limit)
        asked = [] if endpoint.needs_key else affordable(wanted, endpoint.limit, requests)
        why = NEEDS_KEY if endpoint.needs_key else NO_BUDGET if requests else NO_REQUESTS
        answers = {span: Part(facts=nothing(span, why)) for span in wanted}
        tasks = []
        for span in asked:
            known = series[span.symbol].touched(span)
            key = {"version": VERSION, **self.source, "history": endpoint.path, "span": repr(span)}
            key["known"] = [entry.sha256 for entry in known.values()]
            question = Question(self._address(endpoint.host), market, data_type, span, known)
            name = f"download {span.symbol} ids after {span.after}"
            tasks.append(Task(name, ask_history, (self.lake, self.exchange, question, digest(key))))
        for index, part in self.each(tasks):
            answers[asked[index]] = part
            self.say(
                f"{asked[index].symbol}: {sum(part.facts['filled']):,} missing ids found after {asked[index].after}"
            )
        return answers

    def _address(self, host: Host) -> str:
        """Return where the REST API is; the simulator stands in for all of the exchange's hosts."""
        if self.source["venue"] == "sim":
            return self.exchange.base_url
        addresses = {
            "public": settings().binance_api_url,
            "spot": settings().binance_spot_url,
            "usdm": settings().binance_usdm_url,
            "coinm": settings().binance_coinm_url,
        }
        return addresses[host].rstrip("/")

    def _mend(
        self, series: dict[str, Series], fills: dict[tuple[str, date], list[FileEntry]]
    ) -> dict[tuple[str, date], Part]:
        """Return the days that were made again with the trades found for them, by symbol and day."""
        kind, wanted = (self.request.market, self.request.data_type), []
        for (symbol, day), found in fills.items():
            if self.request.first_day() <= day <= self.request.last_day():
                wanted.append((symbol, day, series[symbol].entries.get(day), found))
        tasks = []
        for symbol, day, base, found in wanted:
            name = f"download {symbol} {day} mended"
            tasks.append(Task(name, mend, (self.lake, day, kind, base, found, series[symbol].voids)))
        size = sum(entry.bytes for _, _, base, found in wanted for entry in (*found, *([base] if base else [])))
        return {wanted[index][:2]: part for index, part in self.each(tasks, size)}
