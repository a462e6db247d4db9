"""What is missing between rows: ids that were skipped, and silences too long for the symbol's own rhythm."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from tickloom.kernel import I64

LISTED: Final = 20
"""How many gaps are listed one by one; all are counted."""

SHORTEST_SILENCE_US: Final = 60_000_000
SILENCE: Final = 50
"""A time gap is a silence of over a minute and over 50 times the day's mean time between trades."""


@dataclass
class Gaps:
    """Gaps found so far: `missing` is in ids, in bars, or in microseconds."""

    count: int = 0
    missing: int = 0
    longest: int = 0
    listed: list[dict[str, int]] = field(default_factory=list)

    def add(self, before: I64, after: I64, missing: I64) -> None:
        """Count gaps: each lies between the values `before` and `after`, with `missing` in it."""
        self.count += before.size
        self.missing += int(missing.sum())
        self.longest = max(self.longest, int(missing.max(initial=0)))
        for i in range(min(before.size, LISTED - len(self.listed))):
            self.listed.append({"after": int(before[i]), "before": int(after[i]), "missing": int(missing[i])})

    def join(self, later: "Gaps") -> None:
        """Count the gaps of what comes after this."""
        self.count += later.count
        self.missing += later.missing
        self.longest = max(self.longest, later.longest)
        self.listed += later.listed[: LISTED - len(self.listed)]

    def facts(self) -> dict[str, Any]:
        """Return what was found as JSON values."""
        return {"count": self.count, "missing": self.missing, "longest": self.longest, "first": self.listed}


def step_gaps(values: I64, step: int, gaps: Gaps) -> None:
    """Add the places where increasing `values` grow by more than `step`: ids by 1, klines by their interval."""
    if step == 1 and values.size and values[-1] - values[0] == values.size - 1:
        return
    where = np.flatnonzero(np.diff(values) > step)
    before, after = values[where], values[where + 1]
    gaps.add(before, after, (after - before - 1) // step)


def silences(ts: I64, gaps: Gaps) -> None:
    """Add the silences of one day's trades. ts (n_trades,) microseconds."""
    if ts.size < 2:
        return
    if (np.diff(ts) < 0).any():
        ts = np.sort(ts)
    where = np.flatnonzero(np.diff(ts) > SHORTEST_SILENCE_US)
    silences_among(ts[where], ts[where + 1], int(ts[-1] - ts[0]) // (ts.size - 1), gaps)


def silences_among(before: I64, after: I64, mean: int, gaps: Gaps) -> None:
    """Add those pauses between two trades that are silences beside a day's mean pause. Microseconds."""
    silent = after - before > max(SHORTEST_SILENCE_US, SILENCE * mean)
    before, after = before[silent], after[silent]
    gaps.add(before, after, after - before)
