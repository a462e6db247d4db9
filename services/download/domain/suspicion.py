"""Which days of trades look as if rows were missing or wrong, by what is known without a second source.

Ids of trades and of aggregates count up one by one, so they are the witness: a day that joins its neighbours and has no
hole is whole, however quiet it was. Only where the ids of a neighbour are not known do time and size speak.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from statistics import median
from typing import Any, Final

from services.download.domain.gaps import SHORTEST_SILENCE_US, SILENCE
from services.download.domain.times import DAY_US, day_number

MISSING_ID: Final = "ids are missing in it"
MISSING_AROUND: Final = "ids are missing beside it"
DISORDER: Final = "its rows are out of order"
DUPLICATE: Final = "rows come twice"
SHARED: Final = "its ids overlap the day before"
OTHER_DAY: Final = "rows of other days are beside it"
EARLY: Final = "it ends long before midnight"
LATE: Final = "it begins long after midnight"
FEW: Final = "it has far fewer rows than the days around it"
UNLIKE: Final = "its minutes differ from the official klines"
MISSING_BAR: Final = "bars are missing in it"
MISALIGNED: Final = "bars open off their interval"
FEW_TIMES: Final = 5
"""A day has few rows when the median of the days around it is over five times as much."""
AROUND: Final = 3


@dataclass(frozen=True)
class DayFacts:
    """What a day's partition says of itself, and what else is known of it.

    notes  what its source said while it was read
    void   ids of void rows between its first and its last
    reach  the id that ids of void rows run on to after its last; below that where there are none
    """

    day: date
    rows: int
    first_id: int
    last_id: int
    first_ts: int
    last_ts: int
    notes: tuple[str, ...] = ()
    void: int = 0
    reach: int = -1

    @property
    def missing(self) -> int:
        """Return how many ids are missing between its first and its last."""
        return max(0, self.last_id - self.first_id + 1 - self.rows - self.void)

    @property
    def is_holed(self) -> bool:
        """Tell whether ids are missing between its first and its last."""
        return self.missing > 0

    def is_joined_by(self, after: "DayFacts") -> bool:
        """Tell whether the ids run on from it to a day after it."""
        return after.first_id <= max(self.last_id, self.reach) + 1


def suspicions(days: Sequence[DayFacts]) -> dict[date, list[str]]:
    """Return why each suspicious day is one. `days` are a symbol's, in order; days without a row are not among them."""
    reasons = {day.day: list(day.notes) for day in days}
    joined = {(a.day, b.day): a.is_joined_by(b) for a, b in pairwise(days)}
    for a, b in pairwise(days):
        if not joined[a.day, b.day]:
            reasons[a.day].append(MISSING_AROUND)
            reasons[b.day].append(MISSING_AROUND)
        elif b.first_id <= a.last_id:
            reasons[b.day].append(SHARED)
    for i, day in enumerate(days):
        if day.is_holed:
            reasons[day.day].append(MISSING_ID)
        before = i > 0 and joined[days[i - 1].day, day.day]
        after = i + 1 < len(days) and joined[day.day, days[i + 1].day]
        reasons[day.day] += _at_the_edges(day, before, after)
        if not (before and after) and _is_small(i, days):
            reasons[day.day].append(FEW)
    return {day: list(dict.fromkeys(why)) for day, why in reasons.items() if why}


def _at_the_edges(day: DayFacts, before: bool, after: bool) -> list[str]:
    """Judge the silences at both ends of a day that does not join its neighbours, as gaps.silences does within it."""
    mean = (day.last_ts - day.first_ts) // (day.rows - 1) if day.rows > 1 else 0
    longest = max(SHORTEST_SILENCE_US, SILENCE * mean)
    midnight = day_number(day.day) * DAY_US
    found = []
    if not before and day.first_ts - midnight > longest:
        found.append(LATE)
    if not after and midnight + DAY_US - day.last_ts > longest:
        found.append(EARLY)
    return found


def _is_small(i: int, days: Sequence[DayFacts]) -> bool:
    around = [day.rows for day in [*days[max(0, i - AROUND) : i], *days[i + 1 : i + 1 + AROUND]]]
    return bool(around) and days[i].rows * FEW_TIMES < median(around)


def notes_of(record: Mapping[str, Any]) -> dict[date, tuple[str, ...]]:
    """Return what an archive's record says of its days: disorder, and rows of other days at its edges."""
    days = sorted(record["days"])
    notes = {day: [DISORDER] if record["days"][day]["out_of_order"] else [] for day in days}
    for day in days:
        notes[day] += [DUPLICATE] if record["days"][day]["duplicates"] else []
        notes[day] += [OTHER_DAY] if record["dropped"]["other_day"] and day in (days[0], days[-1]) else []
    return {date.fromisoformat(day): tuple(why) for day, why in notes.items() if why}


def doubtful_klines(record: Mapping[str, Any], step_us: int, compare: str) -> dict[date, list[str]]:
    """Return the days of a month's klines to look at in the daily archives, and why, by its record; `compare` as asked.

    A bar that is missing or opens off its interval puts its day in doubt, disorder and rows that came twice all days.
    """
    disorder = [DISORDER] if record["counts"].get("out_of_order") else []
    disorder += [DUPLICATE] if record["dropped"]["duplicate"] else []
    doubts = {}
    for day, facts in record["days"].items():
        why = [*disorder, *([MISSING_BAR] if facts["rows"] < DAY_US // step_us else [])]
        why += [MISALIGNED] if facts["misaligned"] else []
        if compare == "all" or (why and compare != "none"):
            doubts[date.fromisoformat(day)] = why
    return doubts


def unlike_days(comparisons: Mapping[str, Mapping[str, Any]]) -> list[date]:
    """Return the days of which a minute differs from the official klines, or is on one side alone; in order.

    comparisons  by month, as domain/minutes.py reports them: minutes that aggregates leave out are none of these
    """
    days = {day: counts for one in comparisons.values() for day, counts in one.get("days", {}).items()}
    return [date.fromisoformat(day) for day in sorted(days) if any(days[day][1:4])]
