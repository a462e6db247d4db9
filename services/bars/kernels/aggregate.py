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
    bar = opened.copy()
    n_bars = 0
    while n_bars < ends.size and ends[n_bars] < 0:
        bars[:, n_bars] = bar
        bar[:], n_bars = 0, n_bars + 1
    for i in range(ids.size):
        notional = price[i] * quantity[i]
        if bar[VOLUME] == 0:
            bar[TS_FIRST], bar[FIRST_ID], bar[OPEN], bar[HIGH], bar[LOW] = ts[i], ids[i], price[i], price[i], price[i]
        bar[TS_LAST], bar[LAST_ID], bar[CLOSE] = ts[i], ids[i], price[i]
        bar[HIGH], bar[LOW] = max(bar[HIGH], price[i]), min(bar[LOW], price[i])
        if bar[NOTIONAL] > LIMIT - notional:  # a price is a tick at least, so the volume fits where the notional does
            return bars, bar, i
        bar[VOLUME] += quantity[i]
        bar[NOTIONAL] += notional
        bar[N_TRADES] += 1
        if side[i] > 0:
            bar[BUY_VOLUME] += quantity[i]
            bar[BUY_NOTIONAL] += notional
        if n_bars < ends.size and ends[n_bars] == i:
            bars[:, n_bars] = bar
            bar[:], n_bars = 0, n_bars + 1
    return bars, bar, -1
