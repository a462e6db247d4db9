"""Text of one source to partitions in the lake, with the record of what was found on the way."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from services.download.adapters.day import StoredDay
from services.download.adapters.days import Days
from services.download.adapters.spool import Spool
from services.download.adapters.tables import klines_table
from services.download.domain import klines
from services.download.domain.errors import ConflictingRows, WrongPeriod
from services.download.domain.gaps import step_gaps
from services.download.domain.layouts import Layout
from services.download.domain.quality import Quality
from services.download.domain.text import RowReader
from services.download.domain.times import DAY_US, check_times, day_number, day_of, to_microseconds, years_of
from services.download.domain.voids import between, runs_of
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.contracts.download import INTERVAL_US
from tickloom.identity import canonical
from tickloom.kernel import I64
from tickloom.lake import Lake

TOLD: Final = 1 << 20
"""Trades between two words about how far the reading is."""


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


def ingest(
    lake: Lake,
    scratch: Path,
    source: Source,
    chunks: Iterable[bytes],
    quality: Quality,
    tell: Callable[[int], None] = lambda _: None,
) -> Part:
    """Read, check and order a source's rows, store its partitions and its record, and return both.

    `tell` hears of every TOLD trades how many were read.

    Raises BadRow, BadHeader, DoesNotFit, ConflictingRows, WrongPeriod, and what `chunks` raises.
    """
    reader = RowReader(source.name, source.layout)
    if source.interval:
        numbers, store = _read_klines(lake, scratch, source, reader, chunks, quality)
    else:
        numbers, store = _read_trades(lake, scratch, source, reader, chunks, quality, tell)
    quality.has_header, quality.n_lines = reader.has_header, reader.n_lines
    if quality.dropped["other_day"] and not numbers:
        raise WrongPeriod(source.name, quality.dropped["other_day"], source.first, source.last)
    files = list(store)
    _note_missing_days(source, set(numbers), quality)
    record = {"first_day": source.first.isoformat(), "last_day": source.last.isoformat(), **quality.record()}
    files.append(lake.add_bytes(f"quality/{source.record}.json", canonical(record)))
    return Part(files=tuple(files), facts={"days": [day_of(n).isoformat() for n in numbers], "quality": record})


_Read: TypeAlias = tuple[list[int], Iterator[FileEntry]]
"""The days that have rows, in order, and what stores their partitions."""


def _read_trades(
    lake: Lake,
    scratch: Path,
    source: Source,
    reader: RowReader,
    chunks: Iterable[bytes],
    quality: Quality,
    tell: Callable[[int], None],
) -> _Read:
    period = (day_number(source.first), day_number(source.last) + 1)
    days = Days(source.name, source.layout, period, scratch, quality)
    told = 0
    for part in reader.read_trades(chunks, days.room):
        days.add(part)
        if reader.n_lines - told >= TOLD:
            told = reader.n_lines
            tell(told)
    return days.numbers(), _store_trades(lake, source, days, quality)


def _store_trades(lake: Lake, source: Source, days: Days, quality: Quality) -> Iterator[FileEntry]:
    """Store one partition per day."""
    before: StoredDay | None = None
    void = days.voids()
    void_alone = void
    for number in days.numbers():
        day = days.settled(number).knowing(void)
        void_alone = np.setdiff1d(void_alone, day.of_rows(void), assume_unique=True)
        quality.add_counts(day.counts)
        quality.rows += day.n_rows
        if before is not None:
            _join_days(source.name, number, before, day, void, quality)
        quality.days[day_of(number).isoformat()] = day.record()
        quality.id_gaps.join(day.id_gaps)
        quality.time_gaps.join(day.time_gaps)
        name, facts = _named(source.symbol, number, day.facts)
        yield lake.add_file(name, day.path, rows=day.n_rows, facts=facts)
        before = day
    quality.void_ids = runs_of(void_alone)


def _join_days(name: str, number: int, before: StoredDay, day: StoredDay, void: I64, quality: Quality) -> None:
    """Look at the ids on both sides of midnight: what is missing between them, what is on both sides."""
    last, first = before.facts["last_id"], day.facts["first_id"]
    if first > last:
        step_gaps(np.array([last, *between(void, last, first), first]), 1, quality.id_gaps)
        return
    # Ids and times may disagree around midnight; an id on both days would count a trade twice.
    both = np.intersect1d(before.ids[before.ids >= first], day.ids[day.ids <= last])
    if both.size:
        raise ConflictingRows(name, int(both[0]))
    quality.shared_days.append(day_of(number).isoformat())


def _read_klines(
    lake: Lake, scratch: Path, source: Source, reader: RowReader, chunks: Iterable[bytes], quality: Quality
) -> _Read:
    spool, layout, seen = Spool(scratch, source.layout.width), source.layout, set[int]()
    for part in reader.read(chunks):
        rows = part.rows
        times = rows[:, layout.slots["ts_open"]]
        times[:], n_milliseconds = to_microseconds(times)
        quality.n_milliseconds += n_milliseconds
        klines.check_rows(source.name, part.line, rows, layout)
        days = times // DAY_US
        keep = (days >= day_number(source.first)) & (days <= day_number(source.last))
        check_times(source.name, part.line, times, keep)
        if not keep.all():
            quality.dropped["other_day"] += int((~keep).sum())
            rows, days = rows[keep], days[keep]
        seen.update(np.unique(days).tolist())
        spool.add(rows, years_of(days))
    return sorted(seen), store_klines(lake, source, sorted(seen), spool.take, quality)


def store_klines(
    lake: Lake, source: Source, days: list[int], take: Callable[[int], I64], quality: Quality
) -> Iterator[FileEntry]:
    """Store one partition per unbroken run of days within a year, named by its first day. `take`: a year's rows."""
    step, opened, at = INTERVAL_US[source.interval], [], source.layout.slots["ts_open"]
    year, of_year = 0, np.empty((0, source.layout.width), np.int64)
    for run in _runs(days):
        if day_of(run[0]).year != year:
            year = day_of(run[0]).year
            of_year = take(year)
        rows, number = of_year, of_year[:, at] // DAY_US
        if number.min() < run[0] or number.max() > run[-1]:
            rows = of_year[(number >= run[0]) & (number <= run[-1])]
        bars, counts = klines.settle(source.name, rows, source.layout, step)
        quality.add_counts(counts)
        opened.append(bars.columns["ts_open"])
        quality.rows += opened[-1].size
        quality.days |= _kline_days(opened[-1], step)
        name, facts = _named(source.symbol, run[0], bars.facts() | {"last_day": day_of(run[-1]).isoformat()})
        yield lake.add_table(name, klines_table(bars), facts=facts)
    if opened:
        step_gaps(np.concatenate(opened), step, quality.time_gaps)


def _kline_days(opened: I64, step: int) -> dict[str, dict[str, Any]]:
    """Return what the record says of each day of klines: how many, the opening times of the first and the last, and how
    many do not open at a multiple of their interval.
    """
    numbers, first, counts = np.unique(opened // DAY_US, return_index=True, return_counts=True)
    misaligned = np.add.reduceat(opened % step != 0, first, dtype=np.int64)
    return {
        day_of(int(n)).isoformat(): {
            "rows": int(count),
            "first_ts": int(opened[at]),
            "last_ts": int(opened[at + count - 1]),
            "misaligned": int(wrong),
        }
        for n, at, count, wrong in zip(numbers, first, counts, misaligned, strict=True)
    }


def _runs(days: list[int]) -> list[list[int]]:
    runs: list[list[int]] = [days[:1]] if days else []
    for before, day in pairwise(days):
        if day == before + 1 and day_of(day).year == day_of(before).year:
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs


def _note_missing_days(source: Source, present: set[int], quality: Quality) -> None:
    wanted = range(day_number(source.first), day_number(source.last) + 1)
    if not source.whole:
        wanted = range(min(present, default=0), max(present, default=-1) + 1)
    quality.missing_days += [day_of(number).isoformat() for number in wanted if number not in present]


def _named(symbol: str, number: int, facts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of a partition by its first day, and its facts."""
    day = day_of(number).isoformat()
    return f"{symbol}/{day}.parquet", {"symbol": symbol, "day": day, **facts}
