"""What is known of each day of a symbol, put together from the records of its sources: the ground of all grades."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
from typing import Any, Final

import numpy as np

from services.download.domain.grades import FEWEST_ROWS, NEIGHBOURS
from services.download.domain.rhythm import Silence, silences
from services.download.domain.voids import NONE, between
from services.download.kernels.minutes import MINUTES
from tickloom.kernel import I64, Bool

FIRST_IDS: Final = 1
"""A symbol's very first id is 0 on spot, 1 on USD-M: nothing can be missing before it."""


@dataclass(frozen=True)
class Source:
    """What is known of a source as a whole, by its record."""

    name: str
    is_verified: bool  # its bytes against the SHA-256 that was served for them
    rows_read: int
    sentinels: int
    foreign_rows: int
    duplicates: int
    out_of_order: int


@dataclass(frozen=True)
class Day:
    """One day of a symbol. Without rows it is missing; then its ids say whether anything was traded."""

    day: date
    rows: int = 0
    first_id: int = -1
    last_id: int = -1
    ids_missing: int = 0  # within the day, and between it and the day with rows before it
    ids_unknown: int = 0  # ids that no trade ever had, by what the exchange answered: not among the missing ones
    start_known: bool = False  # the ids run on from the day with rows before it, or it is the symbol's first
    end_known: bool = False  # the ids run on to the day with rows after it
    bars_expected: int = 0  # of klines
    misaligned: int = 0  # of klines: bars that do not open at a multiple of their interval
    duplicates: int = 0
    out_of_order: int = 0
    time_reversals: int = 0
    marks: Bool | None = field(default=None, repr=False)
    ratio: float | None = None  # rows against the median of its neighbours; None: nothing to compare with
    silent: int = 0  # minutes of silences that missing data may explain
    halted: int = 0  # minutes of silences over which the ids run on: nobody traded
    longest: int = 0  # minutes of the longest silence that touches it
    source: Source | None = None
    klines: tuple[int, ...] | None = None
    corrections: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_whole(self) -> bool:
        """Tell whether its ids prove that no trade of it is missing."""
        return self.start_known and self.end_known and not self.ids_missing

    @property
    def is_idle(self) -> bool:
        """Tell whether it has no rows because nothing was traded: the ids run on over it."""
        return not self.rows and self.is_whole


def minutes_text(marks: Bool) -> str:
    """Return marks (1440,) as text: bits, the first minute first, in base 64."""
    return base64.b64encode(np.packbits(marks).tobytes()).decode()


def minutes_of(text: str) -> Bool:
    """Return the marks (1440,) that a text stands for."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8)).astype(np.bool_)[:MINUTES]


def trade_day(day: date, facts: Mapping[str, Any], source: Source) -> Day:
    """Return a day of trades from its facts in a record."""
    return Day(
        day,
        rows=facts["rows"],
        first_id=facts["first_id"],
        last_id=facts["last_id"],
        ids_missing=facts["ids_missing"],
        duplicates=facts["duplicates"],
        out_of_order=facts["out_of_order"],
        time_reversals=facts["time_reversals"],
        marks=minutes_of(facts["minutes"]),
        source=source,
    )


def source_of(record: Mapping[str, Any]) -> Source:
    """Return what a record says of its source as a whole."""
    served, dropped, counts = record["served_sha256"], record["dropped"], record["counts"]
    return Source(
        record["source"],
        bool(served) and served == record["computed_sha256"],
        record["rows_read"],
        dropped["sentinel"],
        dropped["other_day"],
        dropped["duplicate"],
        counts.get("out_of_order", 0),
    )


def joined(days: Sequence[Day], voids: I64 = NONE) -> list[Day]:
    """Return days of trades, in order and without a hole in the calendar, with what their neighbours tell of each.

    Ids missing between two days with rows are those of the first day between them, or of the later one. Where ids and
    times disagree around midnight, an id that is on the other side is not missing; nor is one of a void row (`voids`,
    increasing).
    """
    missing, start, end = [day.ids_missing for day in days], [False] * len(days), [False] * len(days)
    traded = [i for i, day in enumerate(days) if day.rows]
    if traded:
        start[traded[0]] = days[traded[0]].first_id <= FIRST_IDS
    for before, after in pairwise(traded):
        ends = days[before].last_id, days[after].first_id
        gap = ends[1] - ends[0] - 1 - between(voids, *ends).size
        missing[before + 1] += max(0, gap)
        swapped = min(missing[before], max(0, -gap))
        missing[before] -= swapped
        missing[after] = max(0, missing[after] - max(0, -gap) + swapped)
        for i in range(before, after):
            start[i + 1] = end[i] = gap <= 0
    return [
        replace(day, ids_missing=missing[i], start_known=start[i], end_known=end[i], ratio=_ratio(days, i))
        for i, day in enumerate(days)
    ]


def _ratio(days: Sequence[Day], i: int) -> float | None:
    around = [*days[max(0, i - NEIGHBOURS) : i], *days[i + 1 : i + 1 + NEIGHBOURS]]
    rows = [day.rows for day in around if day.rows]
    if not days[i].rows or not rows or np.median(rows) < FEWEST_ROWS:
        return None
    return days[i].rows / float(np.median(rows))


def with_silences(days: Sequence[Day]) -> list[Day]:
    """Return a month's days, as `joined` leaves them, with the silences that their own rhythm shows."""
    empty = np.zeros(MINUTES, np.bool_)
    marks = np.stack([empty if day.marks is None else day.marks for day in days])
    rows = np.array([day.rows for day in days], np.int64)
    silent, halted, longest = ([0] * len(days) for _ in range(3))
    for silence in silences(marks, rows):
        is_halt = _runs_over(days, silence)
        for i in range(silence.first, silence.last + 1):
            (halted if is_halt else silent)[i] += silence.within(i)
            longest[i] = max(longest[i], silence.minutes)
    return [
        replace(day, silent=silent[i], halted=halted[i], longest=longest[i], marks=None) for i, day in enumerate(days)
    ]


def _runs_over(days: Sequence[Day], silence: Silence) -> bool:
    """Tell whether the ids run on over a silence: then nothing is missing, nobody traded."""
    touched = days[silence.first : silence.last + 1]
    begins, ends = silence.begin % MINUTES > 0, silence.end % MINUTES > 0
    joined_on = (begins or touched[0].start_known) and (ends or touched[-1].end_known)
    return joined_on and not any(day.ids_missing for day in touched)


def kline_days(
    days: Sequence[date],
    facts: Mapping[date, Mapping[str, Any]],
    sources: Mapping[date, Source],
    step_us: int,
    *,
    whole: bool,
) -> list[Day]:
    """Return days of klines. Of a source that is not a whole archive nothing is expected before its first bar, nor
    after its last one.
    """
    per_day, seen = MINUTES * 60_000_000 // step_us, [day for day in days if day in facts]
    found = []
    for day in days:
        known = facts.get(day)
        expected = per_day
        if known is not None and not whole:
            since, until = known["first_ts"] % 86_400_000_000, known["last_ts"] % 86_400_000_000
            expected -= since // step_us if day == seen[0] else 0
            expected -= per_day - 1 - until // step_us if day == seen[-1] else 0
        rows = known["rows"] if known is not None else 0
        misaligned = known["misaligned"] if known is not None else 0
        found.append(Day(day, rows=rows, bars_expected=expected, misaligned=misaligned, source=sources.get(day)))
    return found
