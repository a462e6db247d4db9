"""Trades of one day by minute: which minutes have one, and what a bar of each holds."""

from typing import Final

import numpy as np

from tickloom.kernel import I8, I64, Bool, kernel

MINUTE_US: Final = 60_000_000
MINUTES: Final = 1440
OPEN, HIGH, LOW, CLOSE, VOLUME, NOTIONAL, N_TRADES, BUY_VOLUME, BUY_NOTIONAL = 0, 1, 2, 3, 4, 5, 6, 7, 8
LIMIT: Final = 10**18 - 1
_LIMIT_FLOAT: Final = 0.99e18


@kernel
def mark_minutes(ts: I64, midnight: int, marks: Bool) -> None:
    """Mark the minutes of a day that have a trade.

    ts        (n_trades,)  microseconds, of the day
    midnight               microseconds: where the day begins
    marks     (1440,)      set where a minute has a trade, else left as it is
    """
    for i in range(ts.size):
        marks[(ts[i] - midnight) // MINUTE_US] = True


@kernel
def add_minutes(ts: I64, price: I64, quantity: I64, side: I8, fills: I64, midnight: int, bars: I64) -> int:
    """Add trades to the bars of their minutes; return the first trade whose sums do not fit, or -1.

    ts, price, quantity, side  (n_trades,)  in id order, of one day, price and quantity > 0; side +1 where the buyer
                               was the aggressor, -1 the seller
    fills     (n_trades,)      trades that a row stands for, > 0; or (0,): one each
    midnight                   microseconds: where the day begins
    bars      (9, 1440)        a column per minute, zeros without a trade: open high low close volume notional n_trades
                               buy_volume buy_notional, notional in ticks * lots. Changed in place.

    Open and close are those of the first and the last id. Sums are integers, at most LIMIT: exact, and the same for any
    cut of the trades. O(n_trades).
    """
    for i in range(ts.size):
        if np.float64(price[i]) * np.float64(quantity[i]) > _LIMIT_FLOAT:
            return i
        at = (ts[i] - midnight) // MINUTE_US
        if bars[N_TRADES, at] == 0:
            bars[OPEN, at] = bars[HIGH, at] = bars[LOW, at] = price[i]
        bars[HIGH, at] = max(bars[HIGH, at], price[i])
        bars[LOW, at] = min(bars[LOW, at], price[i])
        bars[CLOSE, at] = price[i]
        bars[VOLUME, at] += quantity[i]
        bars[NOTIONAL, at] += price[i] * quantity[i]
        bars[N_TRADES, at] += fills[i] if fills.size else 1
        if side[i] > 0:
            bars[BUY_VOLUME, at] += quantity[i]
            bars[BUY_NOTIONAL, at] += price[i] * quantity[i]
        if bars[VOLUME, at] > LIMIT or bars[NOTIONAL, at] > LIMIT:
            return i
    return -1
