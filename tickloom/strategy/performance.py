"""The performance tracker: the account at every close, and round trips, from the fills."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from tickloom.kernel import F64
from tickloom.strategy.orders import Fill


class RoundTrip(NamedTuple):
    """A position from flat to flat, or still open at the end (exit_bar -1). pnl and fees are quote, pnl net of fees."""

    entry_bar: int
    exit_bar: int
    side: int
    pnl: float
    fees: float
    reason: str


class Performance(NamedTuple):
    """The account at the close of each bar, (n_bars,): cash + position * close = equity."""

    cash: F64
    position: F64
    equity: F64
    trips: list[RoundTrip]


class PerformanceTracker(Protocol):
    """Tells from the fills what became of the account."""

    def __call__(self, fills: Sequence[Fill], close: F64, initial_cash: float) -> Performance:
        """Return the account at each close, (n_bars,), and the round trips."""
        ...


def track(fills: Sequence[Fill], close: F64, initial_cash: float) -> Performance:
    """Return what the fills, in their order, made of `initial_cash`. Between fills cash and position stand."""
    bars = np.array([fill.bar for fill in fills], np.int64)
    last = np.searchsorted(bars, np.arange(close.size), "right")
    cash = np.array([initial_cash, *(fill.cash for fill in fills)])[last]
    position = np.array([0.0, *(fill.position for fill in fills)])[last]
    return Performance(cash, position, cash + position * close, round_trips(fills, close, initial_cash))


def round_trips(fills: Sequence[Fill], close: F64, initial_cash: float) -> list[RoundTrip]:
    """Return the positions from flat to flat; a fill that turns the position round ends one and begins the next."""
    trips: list[RoundTrip] = []
    cash, fees, begin, side, before = initial_cash, 0.0, -1, 0, 0.0
    for fill in fills:
        if before == 0.0:
            begin, side = fill.bar, fill.side
        fees += fill.fee
        turned = fill.position * before < 0.0
        if fill.position == 0.0 or turned:
            left = fill.position * fill.price if turned else 0.0
            trips.append(RoundTrip(begin, fill.bar, side, fill.cash + left - cash, fees, fill.tag))
            cash, fees, begin, side = fill.cash + left, 0.0, fill.bar, fill.side
        before = fill.position
    if before != 0.0:
        equity = fills[-1].cash + before * float(close[-1])
        trips.append(RoundTrip(begin, -1, side, equity - cash, fees, "open"))
    return trips
