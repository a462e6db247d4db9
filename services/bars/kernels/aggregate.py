"""What is in each bar, once it is known where bars close."""

from typing import Final

import numpy as np

from tickloom.kernel import I8, I64, borrowing, kernel

LIMIT: Final = 10**18 - 1
"""Sums stay below 10**18, the most that a decimal of 18 digits holds."""

SURELY: Final = 4e18
"""A product of float64 below this stands for one of integers that is far from wrapping around at 2**63."""

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
                                                 aggressor
    ends    (n_bars,)      last trade of each bar, strictly increasing; -1 closes the open bar as it is
    opened  (13,)          the bar open before the first trade, by COLUMNS; without one its volume is 0
    bars    (13, n_bars)   one column per bar
    open    (13,)          as `opened`, for the trades after the last bar

    Sums are integers: exact, and the same for any cut into partitions. O(n_trades).
    """
    bars = np.empty((opened.size, ends.size), np.int64)
    bar, begin = opened.copy(), 0
    for n in range(ends.size + 1):
        end = ends[n] + 1 if n < ends.size else ids.size
        if begin < end:
            if n in (0, ends.size):
                _mark_edges(bar, ids, ts, price, begin, end - 1)
            bad = _add(bar, price, quantity, side, begin, end)
            if bad >= 0:
                return bars, bar, bad
        begin = end
        if n < ends.size:
            for row in range(bar.size):
                bars[row, n] = bar[row]
                bar[row] = 0
    _fetch_edges(bars, ids, ts, price, ends)
    return bars, bar, -1


@borrowing
def _mark_edges(bar: I64, ids: I64, ts: I64, price: I64, first: int, last: int) -> None:
    """Write down the trade that opens the bar, where none has, and the last one."""
    if bar[VOLUME] == 0:
        bar[TS_FIRST], bar[FIRST_ID], bar[OPEN] = ts[first], ids[first], price[first]
    bar[TS_LAST], bar[LAST_ID], bar[CLOSE] = ts[last], ids[last], price[last]


@borrowing
def _fetch_edges(bars: I64, ids: I64, ts: I64, price: I64, ends: I64) -> None:
    """Write down the first and the last trades of all bars but the first.

    They lie far apart in memory. Here many are fetched at a time; in the loop over the bars each is waited for, which
    takes longer than all the rest of a short bar.
    """
    for n in range(1, ends.size):
        first, last = ends[n - 1] + 1, ends[n]
        bars[TS_FIRST, n], bars[FIRST_ID, n], bars[OPEN, n] = ts[first], ids[first], price[first]
        bars[TS_LAST, n], bars[LAST_ID, n], bars[CLOSE, n] = ts[last], ids[last], price[last]


@borrowing
def _add(bar: I64, price: I64, quantity: I64, side: I8, begin: int, end: int) -> int:
    """Add the trades from begin up to end to the sums of the bar; return the first that does not fit, or -1."""
    high, low, volume, notional, net_volume, net_notional, fits = _sums(
        price[begin:end], quantity[begin:end], side[begin:end]
    )
    if not fits or notional > LIMIT - bar[NOTIONAL]:  # a price is a tick at least, so the volume fits with it
        bad = _first_that_does_not_fit(bar[NOTIONAL], price, quantity, begin, end)
        if bad >= 0:
            return bad
    if bar[VOLUME] == 0:
        bar[HIGH], bar[LOW] = high, low
    bar[HIGH], bar[LOW] = max(bar[HIGH], high), min(bar[LOW], low)
    bar[VOLUME], bar[NOTIONAL], bar[N_TRADES] = (
        bar[VOLUME] + volume,
        bar[NOTIONAL] + notional,
        bar[N_TRADES] + end - begin,
    )
    bar[BUY_VOLUME] += (volume + net_volume) // 2
    bar[BUY_NOTIONAL] += (notional + net_notional) // 2
    return -1


@borrowing
def _sums(price: I64, quantity: I64, side: I8) -> tuple[int, int, int, int, int, int, bool]:
    """Return high, low, volume, notional, volume and notional bought less sold, and whether the sums surely fit.

    Nothing is checked on the way and nothing branches, so that several trades are added at once. Sums that wrap around
    come out right all the same where the true ones fit; `fits` is False where they might not.
    """
    high, low, most = price[0], price[0], quantity[0]
    volume, notional, net_volume, net_notional = 0, 0, 0, 0
    for i in range(price.size):
        p, q, way = price[i], quantity[i], np.int64(side[i])
        paid = p * q
        high, low, most = max(high, p), min(low, p), max(most, q)
        volume, notional = volume + q, notional + paid
        net_volume, net_notional = net_volume + q * way, net_notional + paid * way
    fits = float(most) * price.size < SURELY and float(high) * float(volume) < SURELY
    return high, low, volume, notional, net_volume, net_notional, fits


@borrowing
def _first_that_does_not_fit(notional: int, price: I64, quantity: I64, begin: int, end: int) -> int:
    """Return the trade by which the notional has more than 18 digits, or -1."""
    for i in range(begin, end):
        if price[i] > LIMIT // quantity[i] or notional > LIMIT - price[i] * quantity[i]:
            return i
        notional += price[i] * quantity[i]
    return -1
