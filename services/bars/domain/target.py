"""A threshold of its own for each day, so that about as many bars close as were asked for.

A day's threshold is the mean of the days before it, at most so many, divided by the bars wanted, and rounded up to the
finest unit that those days were counted in. It is known before the day begins, from sums that are exact: nothing looks
ahead, and no feedback runs from one day's bars to another's. Days without a trade do not count: they are missing data
as often as quiet ones.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable, Sequence
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


def thresholds_of(target: Target, kind: str, entries: Sequence[FileEntry], scales: dict[str, int]) -> dict[str, int]:
    """Return the threshold of each partition by its name, from what the download recorded of those before it.

    entries  a symbol's partitions of trades in order, a day each; `scales` those on which all of them are read
    """
    days = []
    for entry in entries:
        finer = sum(scales[scale] - int(entry.facts[scale]) for scale in FINEST[kind])
        begins_late = entry is entries[0] and entry.facts["first_ts"] % INTERVAL_US["1d"] > LATE_US
        days.append(Day(amount(entry, kind, scales), 10**finer, not begins_late))
    return dict(zip((entry.name for entry in entries), day_thresholds(target, days), strict=True))


def _threshold(target: Target, known: Collection[Day]) -> int:
    unit = min(day.unit for day in known)
    size = -(-sum(day.traded for day in known) // (len(known) * target.bars_per_day * unit)) * unit
    if size > LIMIT:
        raise ExactnessLost(f"a day's threshold of {size} units", "it has more than 18 digits")
    return size
