"""A threshold of its own for each day, so that about as many bars close as were asked for.

A day's threshold is the mean of the days before it, at most so many, divided by the bars wanted, and rounded up to the
finest unit that those days were counted in. It is known before the day begins, from sums that are exact: nothing looks
ahead, and no feedback runs from one day's bars to another's. Days without a trade do not count: they are missing data
as often as quiet ones. Nor do days of which more than one trade in a hundred is missing: what they lack would be
missing in the threshold of every day after them.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

from services.bars.domain.summary import amount
from services.bars.kernels.aggregate import LIMIT
from tickloom.contracts.artifact import FileEntry
from tickloom.contracts.download import INTERVAL_US
from tickloom.errors import ExactnessLost

ONE_BAR: Final = LIMIT + 1
"""As a day's threshold: it is never reached, since no sum is so large; the day is one bar, that midnight closes."""


LATE_US: Final = INTERVAL_US["1h"]
"""A first day whose first trade comes later than this began before its data did."""

MISSING_OF: Final = 100
"""A day that lacks more than one trade in so many is not whole."""

FINEST: Final = {"tick": (), "volume": ("quantity_scale",), "dollar": ("price_scale", "quantity_scale")}
"""The scales by which a day's units are counted."""


class Target(NamedTuple):
    """What is asked for: bars a day, from how many days before, and the threshold of days that have none before."""

    bars_per_day: int
    days: int
    first: int = ONE_BAR  # units, as every threshold
    units: int = 1  # in 1 trade, 1 of the base or the quote currency

    def shown(self, size: int) -> float:
        """Return a threshold as it is published: NaN for none."""
        return size / self.units if size != ONE_BAR else math.nan


class Day(NamedTuple):
    """What was traded in a day, in units; how many of them are one of its own; whether it was whole.

    A day's own units are those of its own trades: what later days are counted in must not move an earlier threshold.
    """

    traded: int
    unit: int = 1
    is_whole: bool = True


def day_thresholds(target: Target, days: Iterable[Day]) -> list[int]:
    """Return the threshold of each day, in units; days that are not whole say too little to count for later ones.

    Raises ExactnessLost when a threshold needs more than 18 digits.
    """
    known: deque[Day] = deque(maxlen=target.days)
    thresholds = []
    for day in days:
        thresholds.append(_threshold(target, known) if known else target.first)
        if day.is_whole:
            known.append(day)
    return thresholds


def thresholds_of(
    target: Target, kind: str, entries: Sequence[FileEntry], scales: dict[str, int], *, ids_run_on: bool
) -> dict[str, int]:
    """Return the threshold of each partition by its name, from what the download recorded of those before it.

    entries     a symbol's partitions of trades in order, a day each; `scales` those on which all of them are read
    ids_run_on  whether ids count up one by one, as an exchange's do, so that a gap is missing data
    """
    days = []
    for k, entry in enumerate(entries):
        finer = sum(scales[scale] - int(entry.facts[scale]) for scale in FINEST[kind])
        begins_late = k == 0 and entry.facts["first_ts"] % INTERVAL_US["1d"] > LATE_US
        is_whole = not begins_late and not (ids_run_on and _lacks(entries[max(0, k - 1) : k + 2], entry))
        days.append(Day(amount(entry, kind, scales), 10**finer, is_whole))
    return dict(zip((entry.name for entry in entries), day_thresholds(target, days), strict=True))


def _lacks(around: Sequence[FileEntry], entry: FileEntry) -> bool:
    """Return whether too many ids are missing in a day, or between it and the days next to it.

    around  the partition, and those before and after it. The first id of the day after is known before a bar of that
            day closes, which is when this day counts first
    """
    rows, facts = entry.rows or 0, entry.facts
    missing = int(facts["last_id"]) - int(facts["first_id"]) + 1 - rows
    for before, after in pairwise(around):
        missing += _between(before, after)[0 if entry is before else 1]
    return missing * MISSING_OF > rows + missing


def _between(before: FileEntry, after: FileEntry) -> tuple[int, int]:
    """Return how many ids are missing at the end of a day and at the beginning of the next: as the silence is long.

    Where days lie between them, the ids are missing there.
    """
    day = date.fromisoformat(after.facts["day"])
    if day - date.fromisoformat(before.facts["day"]) != timedelta(1):
        return 0, 0
    midnight = (day - date(1970, 1, 1)).days * INTERVAL_US["1d"]
    gap = max(0, int(after.facts["first_id"]) - int(before.facts["last_id"]) - 1)
    late, early = max(0, midnight - before.facts["last_ts"]), max(0, after.facts["first_ts"] - midnight)
    at_end = gap * late // max(1, late + early)
    return at_end, gap - at_end


def _threshold(target: Target, known: Collection[Day]) -> int:
    unit = min(day.unit for day in known)
    size = -(-sum(day.traded for day in known) // (len(known) * target.bars_per_day * unit)) * unit
    if size > LIMIT:
        raise ExactnessLost(f"a day's threshold of {size} units", "it has more than 18 digits")
    return size
