"""Text of one source to partitions in the lake, with the record of what was found on the way."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from services.download.adapters.spool import Spool
from services.download.adapters.tables import klines_table, trades_table
from services.download.domain import klines, trades
from services.download.domain.errors import ConflictingRows, WrongPeriod
from services.download.domain.gaps import silences, step_gaps
from services.download.domain.layouts import Layout
from services.download.domain.quality import Quality
from services.download.domain.text import RowReader
from services.download.domain.times import DAY_US, day_number, day_of, to_microseconds
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.contracts.download import INTERVAL_US
from tickloom.identity import canonical
from tickloom.kernel import I64
from tickloom.lake import Lake


@dataclass(frozen=True)
class Source:
    """What is read: a name for errors and records, whose it is, how its rows look, which days are wanted."""

    name: str
    symbol: str
    layout: Layout
    interval: str  # of klines, else empty
    first: date
    last: date
    record: str  # name of its record, without folder and ending
    whole: bool = True  # rows are expected on every day from first to last; else from the first day seen to the last


def ingest(lake: Lake, scratch: Path, source: Source, chunks: Iterable[bytes], quality: Quality) -> Part:
    """Read, check and order a source's rows, store its partitions and its record, and return both.

    Raises BadRow, BadHeader, DoesNotFit, ConflictingRows, WrongPeriod, and what `chunks` raises.
    """
    reader = RowReader(source.name, source.layout)
    spool = Spool(scratch, source.layout.width)
    check = klines.check_rows if source.interval else trades.check_rows
    for line, rows in reader.read(chunks):
        times = rows[:, source.layout.slots["ts_open" if source.interval else "ts"]]
        times[:], n_milliseconds = to_microseconds(times)
        quality.n_milliseconds += n_milliseconds
        sentinel = trades.sentinels(rows, source.layout)
        check(source.name, line, rows, source.layout, ~sentinel)
        days = times // DAY_US
        other = ~sentinel & ((days < day_number(source.first)) | (days > day_number(source.last)))
        quality.dropped["sentinel"] += int(sentinel.sum())
        quality.dropped["other_day"] += int(other.sum())
        keep = ~(sentinel | other)
        spool.add(rows[keep], days[keep])
    quality.has_header, quality.n_lines = reader.has_header, reader.n_lines
    if quality.dropped["other_day"] and not spool.days():
        raise WrongPeriod(source.name, quality.dropped["other_day"], source.first, source.last)
    store = _store_klines if source.interval else _store_trades
    files = list(store(lake, source, spool, quality))
    present = sorted(spool.days())
    record = {"first_day": source.first.isoformat(), "last_day": source.last.isoformat(), **quality.record()}
    files.append(lake.add_bytes(f"quality/{source.record}.json", canonical(record)))
    return Part(files=tuple(files), facts={"days": [day_of(n).isoformat() for n in present], "quality": record})


def _store_trades(lake: Lake, source: Source, spool: Spool, quality: Quality) -> Iterator[FileEntry]:
    """Store one partition per day."""
    before: I64 | None = None
    for number in spool.days():
        day, counts = trades.settle(source.name, spool.take(number), source.layout)
        quality.add_counts(counts)
        quality.rows += day.trade_id.size
        if before is not None:
            _join_days(source.name, number, before, day.trade_id, quality)
        step_gaps(day.trade_id, 1, quality.id_gaps)
        silences(day.ts, quality.time_gaps)
        yield _entry(lake, source.symbol, number, trades_table(day), day.facts())
        before = day.trade_id
    _note_missing_days(source, spool, quality)


def _join_days(name: str, number: int, before: I64, ids: I64, quality: Quality) -> None:
    """Look at the ids on both sides of midnight: what is missing between them, what is on both sides."""
    if ids[0] > before[-1]:
        step_gaps(np.array([before[-1], ids[0]]), 1, quality.id_gaps)
        return
    # Ids and times may disagree around midnight; an id on both days would count a trade twice.
    both = np.intersect1d(before[before >= ids[0]], ids[ids <= before[-1]])
    if both.size:
        raise ConflictingRows(name, int(both[0]))
    quality.shared_days.append(day_of(number).isoformat())


def _store_klines(lake: Lake, source: Source, spool: Spool, quality: Quality) -> Iterator[FileEntry]:
    """Store one partition per unbroken run of days within a year, named by its first day."""
    step, present = INTERVAL_US[source.interval], spool.days()
    opened: list[I64] = []
    for run in _runs(present):
        rows = np.concatenate([spool.take(number) for number in run])
        bars, counts = klines.settle(source.name, rows, source.layout, step)
        quality.add_counts(counts)
        opened.append(bars.columns["ts_open"])
        quality.rows += opened[-1].size
        facts = bars.facts() | {"last_day": day_of(run[-1]).isoformat()}
        yield _entry(lake, source.symbol, run[0], klines_table(bars), facts)
    if opened:
        step_gaps(np.concatenate(opened), step, quality.time_gaps)
    _note_missing_days(source, spool, quality)


def _runs(days: list[int]) -> list[list[int]]:
    runs: list[list[int]] = [days[:1]] if days else []
    for before, day in pairwise(days):
        if day == before + 1 and day_of(day).year == day_of(before).year:
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs


def _note_missing_days(source: Source, spool: Spool, quality: Quality) -> None:
    present = set(spool.days())
    wanted = range(day_number(source.first), day_number(source.last) + 1)
    if not source.whole:
        wanted = range(min(present, default=0), max(present, default=-1) + 1)
    quality.missing_days += [day_of(number).isoformat() for number in wanted if number not in present]


def _entry(lake: Lake, symbol: str, number: int, table: Any, facts: dict[str, Any]) -> FileEntry:
    day = day_of(number).isoformat()
    return lake.add_table(f"{symbol}/{day}.parquet", table, facts={"symbol": symbol, "day": day, **facts})
