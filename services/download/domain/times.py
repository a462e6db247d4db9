"""Times of archives to microseconds UTC, and microseconds to days."""

from datetime import UTC, date, datetime
from typing import Final

import numpy as np

from services.download.domain.errors import BadRow
from tickloom.kernel import I64, Bool

DAY_US: Final = 86_400_000_000
YEARS: Final = (1974, 2100)
"""Rows are of these years, the second left out: others are of a unit that was misread, as of seconds or nanoseconds."""
MICROSECONDS_FROM: Final = 10**14
"""From here on a time is in microseconds, below in milliseconds: 10**14 ms is the year 5138, 10**14 us is 1973.

Source: github.com/binance/binance-public-data, README (spot: microseconds from 2025-01-01 on), issues 386 and 387.
"""


_EARLIEST, _LATEST = ((date(year, 1, 1) - date(1970, 1, 1)).days * DAY_US for year in YEARS)


def to_microseconds(times: I64) -> tuple[I64, int]:
    """Return times, each in ms or us by its own size, in us; and how many of them were in ms."""
    milliseconds = np.abs(times) < MICROSECONDS_FROM
    return np.where(milliseconds, times * np.where(milliseconds, 1000, 1), times), int(milliseconds.sum())


def day_number(day: date) -> int:
    """Return the days from 1970-01-01 to `day`."""
    return (day - date(1970, 1, 1)).days


def day_of(number: int) -> date:
    """Return the day that is `number` days after 1970-01-01."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + number)


def check_times(name: str, line: int, ts: I64, keep: Bool) -> None:
    """Raise BadRow for the first kept row with a time that no market can have. `line` is the line number of ts[0]."""
    wrong = keep & ((ts < _EARLIEST) | (ts >= _LATEST))
    if wrong.any():
        at = int(np.argmax(wrong))
        year = int(years_of(ts[at : at + 1] // DAY_US)[0])
        raise BadRow(name, line + at, f"its time lies in the year {year}: that is a unit misread, not a market")


def years_of(days: I64) -> I64:
    """Return the year that each day (n,), as day_number has it, lies in."""
    return days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970


def text_of(ts: int) -> str:
    """Return microseconds as ISO text in UTC."""
    return datetime.fromtimestamp(ts // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
