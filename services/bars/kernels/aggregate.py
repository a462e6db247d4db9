"""What is in each bar, once it is known where bars close."""

from typing import Final

import numpy as np

from tickloom.kernel import I8, I64, kernel

LIMIT: Final = 10**18 - 1
"""Sums stay below 10**18, the most that a decimal of 18 digits holds."""

COLUMNS: Final = (
    "ts_first",
    "ts_last",
    "first_trade_id",
    "last_trade_id",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "notional",
    "n_trades",
    "buy_volume",
    "buy_notional",
)
"""The rows of what `aggregate` returns, in order."""

TS_FIRST, TS_LAST, FIRST_ID, LAST_ID, OPEN, HIGH, LOW, CLOSE = 0, 1, 2, 3, 4, 5, 6, 7
VOLUME, NOTIONAL, N_TRADES, BUY_VOLUME, BUY_NOTIONAL = 8, 9, 10, 11, 12


@kernel
def aggregate(ids: I64, ts: I64, price: I64, quantity: I64, side: I8, ends: I64, opened: I64) -> tuple[I64, I64, int]:
    """Return the bars that closed, the bar still open, and the first trade whose sums do not fit, or -1.

    ids, ts, price, quantity, side  (n_trades,)  in id order, price and quantity > 0; side +1 buyer, -1 seller was the
                                                 aggressor; every price * quantity is below 10**18
    ends    (n_bars,)      last trade of each bar, strictly increasing; -1 closes the open bar as it is
    opened  (13,)          the bar open before the first trade, by COLUMNS; without one its volume is 0
    bars    (13, n_bars)   one column per bar
    open    (13,)          as `opened`, for the trades after the last bar

    Sums are integers: exact, and the same for any cut into partitions. O(n_trades).
    """
    bars = np.empty((opened.size, ends.size), np.int64)
    bar, begin = opened.copy(), 0
    for n_bars in range(ends.size + 1):
        end = ends[n_bars] + 1 if n_bars < ends.size else ids.size
        bad = _add(bar, ids, ts, price, quantity, side, begin, end)
        if bad >= 0:
            return bars, bar, bad
        begin = end
        if n_bars < ends.size:
            for row in range(bar.size):
                bars[row, n_bars] = bar[row]
            bar[:] = 0
    return bars, bar, -1


@kernel
def _add(bar: I64, ids: I64, ts: I64, price: I64, quantity: I64, side: I8, begin: int, end: int) -> int:
    """Add the trades from begin up to end to the bar; return the first that does not fit, or -1.

    The sums are local numbers: in an array each would be written to memory for every trade.
    """
    if begin >= end:
        return -1
    if bar[VOLUME] == 0:
        bar[TS_FIRST], bar[FIRST_ID] = ts[begin], ids[begin]
        bar[OPEN], bar[HIGH], bar[LOW] = price[begin], price[begin], price[begin]
    high, low, volume, notional = bar[HIGH], bar[LOW], bar[VOLUME], bar[NOTIONAL]
    buy_volume, buy_notional = bar[BUY_VOLUME], bar[BUY_NOTIONAL]
    for i in range(begin, end):
        p, q = price[i], quantity[i]
        paid = p * q
        if notional > LIMIT - paid:  # a price is a tick at least, so the volume fits where the notional does
            return i
        high, low, volume, notional = max(high, p), min(low, p), volume + q, notional + paid
        buy_volume += q if side[i] > 0 else 0
        buy_notional += paid if side[i] > 0 else 0
    bar[TS_LAST], bar[LAST_ID], bar[HIGH], bar[LOW], bar[CLOSE] = ts[end - 1], ids[end - 1], high, low, price[end - 1]
    bar[VOLUME], bar[NOTIONAL], bar[N_TRADES] = volume, notional, bar[N_TRADES] + end - begin
    bar[BUY_VOLUME], bar[BUY_NOTIONAL] = buy_volume, buy_notional
    return -1
