"""Returns by calendar month. A bar that closes at midnight ends the day, and the month, before it."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from tickloom.kernel import F64, I64

DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Year:
    """One row of the table: a return for each of the twelve months, None without a bar in it, and the whole year's."""

    year: int
    months: tuple[float | None, ...]
    total: float


def utc_day(ts: I64) -> I64:
    """Return the UTC day (days since the epoch) that a close at `ts` belongs to."""
    return (ts - 1) // DAY_US


def utc_month(ts: I64) -> I64:
    """Return the UTC month (months since January 1970) that a close at `ts` belongs to."""
    return utc_day(ts).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def monthly_returns(ts: I64, equity: F64, initial_cash: float) -> list[Year]:
    """Return the table of `equity` at `ts` (microseconds, never falling), both (n_rows,), the earliest year first.

    A month's return is from the last equity before it, initial_cash at first, to its last equity; so the months of a
    run multiply up to its total return. A return from nothing (equity at or below 0) is None.
    """
    if not ts.size:
        return []
    month = utc_month(ts)
    last = np.append(np.flatnonzero(np.diff(month)), ts.size - 1)
    ends = {int(month[row]): float(equity[row]) for row in last}
    years = []
    before = initial_cash
    for year in range(min(ends) // 12, max(ends) // 12 + 1):
        opening = before
        months: list[float | None] = []
        for number in range(year * 12, year * 12 + 12):
            after = ends.get(number)
            months.append(None if after is None or before <= 0 else after / before - 1)
            before = before if after is None else after
        years.append(Year(1970 + year, tuple(months), before / opening - 1 if opening > 0 else 0.0))
    return years


def day_text(ts: int) -> str:
    """Return the UTC day of a moment, as in 2022-01-31."""
    return datetime.fromtimestamp(ts / 1e6, UTC).strftime("%Y-%m-%d")


def moment_text(ts: int) -> str:
    """Return a moment to the second, as in 2022-01-31 23:59:59 UTC."""
    return datetime.fromtimestamp(ts // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
