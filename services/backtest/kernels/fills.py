"""When a position is entered and left, and the prices that end it.

A signal is known at the close of its bar and acted on at the next bar's open: bar i looks at the mask of bar i - 1. The
masks are given by their changes, so a stretch of bars that say the same is one step.
"""

import numpy as np

from services.backtest.kernels.types import AT_LIMIT, AT_OPEN, INSIDE, Prices, Signal
from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT
from tickloom.kernel import inlined_borrowing


@inlined_borrowing
def entry_side(mask: int) -> int:
    """Return +1 to go long, -1 to go short, 0 to stay out.

    An exit of a side beats an entry of it; entries of both sides at once contradict each other, and nothing is done.
    """
    long = (mask & (LONG_ENTRY | LONG_EXIT)) == LONG_ENTRY
    short = (mask & (SHORT_ENTRY | SHORT_EXIT)) == SHORT_ENTRY
    return int(long) - int(short)


@inlined_borrowing
def seek(signal: Signal, at: int, bar: int) -> int:
    """Return the change in force at the close of `bar`, looking from change `at` on; -1 when there is none yet."""
    while at + 1 < signal.bar.size and signal.bar[at + 1] <= bar:
        at += 1
    return at


@inlined_borrowing
def next_entry(signal: Signal, at: int, start: int, n_bars: int) -> tuple[int, int, int]:
    """Return the first bar >= start at whose open a position is entered, its side, and the change that says so.

    at     a change in force at or before the close of bar start - 1; -1: the masks before the first change
    start  >= 1: the first bar has no signal before it

    Without an entry the bar is n_bars and the side 0. O(n_changes).
    """
    at = seek(signal, at, start - 1)
    while start < n_bars:
        side = entry_side(signal.mask[at]) if at >= 0 else 0
        if side != 0:
            return start, side, at
        at += 1
        if at == signal.bar.size:
            break
        start = signal.bar[at] + 1
    return n_bars, 0, at - 1


@inlined_borrowing
def next_exit(signal: Signal, at: int, start: int, side: int, n_bars: int) -> tuple[int, int]:
    """Return the first bar >= start at whose open a position of `side` is left, n_bars without one, and the change.

    at  the change in force at the close of bar start - 1
    """
    exit_bit = LONG_EXIT if side > 0 else SHORT_EXIT
    while start < n_bars:
        if signal.mask[at] & exit_bit:
            return start, at
        if at + 1 == signal.bar.size:
            break
        at += 1
        start = signal.bar[at] + 1
    return n_bars, at


@inlined_borrowing
def find_limit(
    prices: Prices, first: int, last: int, side: int, limit: float, by_trades: bool
) -> tuple[int, float, int]:
    """Return the bar of [first, last) in which an entry's limit order fills, the price before slippage, and how.

    An order that the first open already satisfies takes there. Later it rests: a bar that opens beyond the limit fills
    it at the open (`by_trades`: at the limit, for its first trade went through the order), a bar that trades through it
    at the limit. A touch fills nothing: others may have stood in front.
    Without a fill it is (last, NaN, AT_OPEN).
    """
    reach = prices.low if side > 0 else prices.high
    for i in range(first, last):
        opened = side * prices.open[i]
        if opened < side * limit or (i == first and opened == side * limit):
            if i == first:
                return i, prices.open[i], AT_OPEN
            return i, limit if by_trades else prices.open[i], AT_LIMIT
        if side * reach[i] < side * limit:
            return i, limit, INSIDE
    return last, np.nan, AT_OPEN
