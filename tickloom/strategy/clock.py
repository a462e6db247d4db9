"""The time of a run: when the event is that a strategy is told of, and when what it sends arrives."""

import sys
from bisect import bisect_left
from typing import NamedTuple

from tickloom.strategy.feed import Bars

LATER = sys.maxsize
"""The first bar of an order on its way to a market of trades: which one it is, the trades have yet to say."""


class Arrival(NamedTuple):
    """When something sent is there.

    bar  the first bar that it acts in, from its open on; LATER where the feed plays trades
    ts   microseconds UTC: then it acts from the first trade on that comes after the event in which it was sent, and not
         before this time
    """

    bar: int
    ts: int


class Clock:
    """What is known between the closes of two bars.

    price        of the newest trade or fill, quote per base; None at the close of a bar
    ts           of the trade that is being played, microseconds UTC; None where no trade is
    is_matching  orders are being filled: what is sent now is sent from `on_fill`
    """

    def __init__(self, bars: Bars, latency_us: int) -> None:
        """Raises ValueError on a latency below 0."""
        if latency_us < 0:
            raise ValueError(f"latency_us: {latency_us} is below 0")
        self._bars, self._latency_us = bars, latency_us
        self._opens = bars.ts_open.tolist() if latency_us else []
        self.ts: int | None = None
        self.price: float | None = None
        self.is_matching = False
        self._newest = 0

    def tell(self, ts: int) -> None:
        """Note that a trade of this time is played.

        Raises ValueError where there is a latency and the one before it was later: then no time could be counted.
        """
        if ts < self._newest and self._latency_us:
            raise ValueError(f"trades: one of {ts} comes after one of {self._newest}, so a latency cannot be counted")
        self.ts = self._newest = ts

    def order_arrival(self, bar: int) -> Arrival:
        """Return when an order arrives that is sent now; `bar` is the newest that has closed, -1 before the first.

        What is sent before the first event is there at the first, whatever the latency.
        """
        latency_us, bars = self._latency_us, self._bars
        if bars.trades:
            if not latency_us or (bar < 0 and self.ts is None):
                return Arrival(LATER, 0)
            return Arrival(LATER, self.now(bar) + latency_us)
        # When within a bar a fill was is not known: what is sent there is counted from the end of the bar.
        following = bar + (2 if self.is_matching else 1)
        if not latency_us or not following:
            return Arrival(following, 0)
        arrives = int(bars.ts_close[following - 1]) + latency_us
        return Arrival(bisect_left(self._opens, arrives, following), arrives)

    def now(self, bar: int) -> int:
        """Return the time of the event, microseconds UTC; `bar` is the newest that has closed, -1 before the first.

        Before the first it is the open of the data; at a fill within a bar, whose time is not known, the last close.
        """
        if self.ts is not None:
            return self.ts
        return int(self._bars.ts_close[bar] if bar >= 0 else self._bars.ts_open[0])

    def cancel_arrival(self, bar: int) -> Arrival | None:
        """Return when a cancel arrives that is sent now; None: at once.

        Without latency it is in time for all but what the trade that is being played fills: that is one moment.
        """
        waits = self._latency_us or (self.is_matching and self.ts is not None)
        return self.order_arrival(bar) if waits else None
