"""Where bars begin and end: 1s to 1mo, in UTC or at a whole number of minutes from it.

Bars up to a day start at multiples of their width, 3d bars count from the epoch, weeks start on Monday, months on
their first day; a `timeZone` moves all of these by its offset.
"""

from dataclasses import dataclass

import numpy as np

from exchange_sim.calendar import I64

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
WIDTHS = {
    "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14400,
    "6h": 21600, "8h": 28800, "12h": 43200, "1d": 86400, "3d": 259200, "1w": 604800,
}  # fmt: skip
_FIRST_MONDAY_US = 4 * DAY_US  # 1970-01-05


@dataclass(frozen=True)
class Grid:
    """The opening times of one interval, all in microseconds since the epoch.

    interval  a key of WIDTHS, or 1mo
    offset    microseconds that local time is ahead of UTC
    """

    interval: str
    offset: int = 0

    @property
    def base(self) -> str:
        """Return the interval of the bars that this one is put together from, day by day."""
        width = WIDTHS.get(self.interval, DAY_US)
        if width <= 900 or (self.offset == 0 and width <= 86400):
            return self.interval
        return "1d" if self.offset == 0 else "15m"

    def open_of(self, ts: I64) -> I64:
        """Return the opening time of the bar that each time falls into."""
        if self.interval == "1mo":
            return self._from_months((ts + self.offset).astype("M8[us]").astype("M8[M]").astype(np.int64))
        width, origin = WIDTHS[self.interval] * SECOND_US, self._origin()
        return (ts - origin) // width * width + origin

    def shift(self, opens: I64, n: int) -> I64:
        """Return opening times `n` bars later."""
        if self.interval == "1mo":
            return self._from_months((opens + self.offset).astype("M8[us]").astype("M8[M]").astype(np.int64) + n)
        return opens + n * WIDTHS[self.interval] * SECOND_US

    def between(self, first: int, end: int) -> I64:
        """Return every opening time in `[first, end)`."""
        if end <= first:
            return np.empty(0, np.int64)
        if self.interval == "1mo":
            bounds = (np.array([first, end - 1]) + self.offset).astype("M8[us]").astype("M8[M]").astype(np.int64)
            opens = self._from_months(np.arange(bounds[0], bounds[1] + 1))
            return opens[opens >= first]
        width = WIDTHS[self.interval] * SECOND_US
        origin = self._origin()
        return np.arange(-((origin - first) // width) * width + origin, end, width, dtype=np.int64)

    def _origin(self) -> int:
        return (_FIRST_MONDAY_US if self.interval == "1w" else 0) - self.offset

    def _from_months(self, months: I64) -> I64:
        return months.astype("M8[M]").astype("M8[us]").astype(np.int64) - self.offset
