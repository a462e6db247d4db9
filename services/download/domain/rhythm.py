"""Silences: runs of empty minutes that do not fit a symbol's own rhythm.

A fixed limit cannot serve both BTCUSDT, where five empty minutes are an outage, and a symbol that sleeps all night. So
each hour of the day has a probability that a minute of it holds a trade, learned from the month itself, and a run of
empty minutes is as surprising as their product is small.

    q_h      (minutes with a trade in hour h + 60 mean) / (minutes of hour h + 61), over the days' first to last trade
    level    of a run: minutes with a trade in the 12 hours before it, over those expected by q; the same after it; the
             lower of both, at most 1: a quiet weekend is held against itself
    surprise -sum ln(1 - level * q_h) over the minutes of the run; a silence from grades.SURPRISE on

Minutes, not trades, are counted: trades come in bursts, and a burst is evidence of one minute only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.download.domain.grades import FEWEST_ROWS, SHRINKAGE, SURPRISE
from services.download.kernels.minutes import MINUTES
from tickloom.kernel import F64, I64, Bool

_HOURS: Final = 24
_AROUND: Final = 720


@dataclass(frozen=True)
class Silence:
    """Empty minutes, [begin, end) counted from the first day's midnight. Which days they lie in: first to last."""

    begin: int
    end: int

    @property
    def minutes(self) -> int:
        """Return its length."""
        return self.end - self.begin

    @property
    def first(self) -> int:
        """Return the index of the day in which it begins."""
        return self.begin // MINUTES

    @property
    def last(self) -> int:
        """Return the index of the day in which it ends."""
        return (self.end - 1) // MINUTES

    def within(self, day: int) -> int:
        """Return how many of its minutes lie in a day."""
        return max(0, min(self.end, (day + 1) * MINUTES) - max(self.begin, day * MINUTES))


def silences(marks: Bool, rows: I64) -> list[Silence]:
    """Return the silences of a month in order.

    marks  (n_days, 1440)  minutes with a trade, of calendar days in order
    rows   (n_days,)       trades of each: a day without is missing, not silent
    """
    present = rows > 0
    if not present.any():
        return []
    seen = _seen(marks, present, int(rows.sum()))
    usual = _usual(marks, seen)
    weight = np.concatenate([[0.0], np.cumsum(-np.log1p(-usual))])
    sums = [np.concatenate([[0.0], np.cumsum(values)]) for values in (marks.ravel().astype(np.float64), usual * seen)]
    found = []
    begins, ends = _runs((~marks & present[:, None]).ravel())
    likely = weight[ends] - weight[begins] >= SURPRISE  # no level makes it more
    for begin, end in zip(begins[likely].tolist(), ends[likely].tolist(), strict=True):
        if -np.log1p(-_level(sums, begin, end) * usual[begin:end]).sum() >= SURPRISE:
            found.append(Silence(begin, end))
    return found


def _usual(marks: Bool, seen: Bool) -> F64:
    """Return the probability of a trade in each minute by the hour of the day, (n_days * 1440,)."""
    active = marks.reshape(len(marks), _HOURS, -1).sum(axis=(0, 2))
    minutes = seen.reshape(len(marks), _HOURS, -1).sum(axis=(0, 2))
    by_hour = (active + SHRINKAGE * (active.sum() / minutes.sum())) / (minutes + SHRINKAGE + 1)
    return np.tile(np.repeat(by_hour, MINUTES // _HOURS), len(marks))


def _level(sums: Sequence[F64], begin: int, end: int) -> float:
    """Return how lively it was around a run, against what is usual: 1 where nothing is known of either side."""
    active, expected = sums
    last = active.size - 1
    level = 1.0
    for first, until in ((max(0, begin - _AROUND), begin), (end, min(last, end + _AROUND))):
        usual = expected[until] - expected[first]
        if usual >= 1:
            level = min(level, float((active[until] - active[first] + 1) / (usual + 1)))
    return level


def _seen(marks: Bool, present: Bool, n_rows: int) -> Bool:
    """Return the minutes that the rhythm is learned from: of each run of days, those from its first trade to its last.

    A file that was cut must not teach that the hours it lacks are quiet. With few trades all minutes of the days count:
    there, the first trade and the last say nothing about where the data begin and end.
    """
    seen = np.repeat(present, MINUTES)
    flat = marks.ravel()
    if n_rows < FEWEST_ROWS:
        return seen
    for begin, end in zip(*_runs(seen.copy()), strict=True):
        where = np.flatnonzero(flat[begin:end]) + begin
        seen[begin : where[0]] = seen[where[-1] + 1 : end] = False
    return seen


def _runs(flags: Bool) -> tuple[I64, I64]:
    """Return where runs of set flags (n,) begin, and where they have ended."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2]
