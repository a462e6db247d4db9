"""The sums behind the microstructure columns, bar by bar: of prices, sizes, sides and times of a bar's own trades.

Every sum is an integer, those of products in two halves of 60 bits, so they are exact whatever their size and the same
for any cut into partitions. A bar of n trades has n - 1 changes of the price, from each trade to the next one in the
bar, and n - 1 pauses: what lies between the last trade of a bar and the first of the next belongs to neither. So a
bar's figures depend on its own trades alone, not on where the data begin. What the columns are, and where they come
from, says services/bars/domain/microstructure.py.
"""

from typing import Final

import numpy as np

from services.bars.kernels.aggregate import LIMIT
from tickloom.kernel import I8, I64, kernel

ROWS: Final = 21
"""Integers that are kept of the bar still open."""

SEEN, BUYS, LARGE, LAST_TS, LAST_PRICE = 0, 1, 2, 3, 4
"""Trades, those bought, the notional in large ones; the last trade's time and price."""

FIRST_CHANGE, LAST_CHANGE, N_MOVES, LAST_MOVE = 5, 6, 7, 8
"""The first and the last change of the price; how many changes were not 0, called moves, and the size of the last."""

CHANGE_CHANGE, FLOW_CHANGE, FLOW_FLOW, PAUSE_PAUSE, MOVE_MOVE, CHANGE_SQUARE = 9, 11, 13, 15, 17, 19
"""Sums of products, a high and a low half each: of a change and the one before, of signed lots and the change to their
trade, of these lots squared, of pauses squared, of the sizes of a move and the one before, of changes squared."""

PAIRS_FROM: Final = 9
"""The first of their rows."""

HALF: Final = 60
"""Bits of the low half: a sum is high * 2**60 + low with 0 <= low < 2**60, in one way only."""

BLOCK: Final = 256
BITS: Final = 27
"""A sum of so many products of two numbers of so many bits fits in 62 bits."""

_LOW: Final = (1 << 60) - 1
_QUARTER: Final = (1 << 30) - 1


@kernel
def microstructure(
    ts: I64, price: I64, quantity: I64, whole: I64, side: I8, ends: I64, large: int, opened: I64
) -> tuple[I64, I64]:
    """Return the sums of the bars that closed, and those of the bar still open.

    ts, price, quantity, side  (n_trades,)  as `aggregate` takes them, ts non-decreasing
    whole   (n_trades,)     lots, >= quantity: of the trade that each is a piece of; `quantity` where none is cut
    ends    (n_bars,)       last trade of each bar, strictly increasing; -1 closes the open bar as it is
    large                   tick-lots, > 0: a trade is large from this notional on; 10**18: none is
    opened  (21,)           sums of the bar open before the first trade, by the names above; without one all are 0
    sums    (21, n_bars)    one column per bar
    open    (21,)           as `opened`, for the trades after the last bar

    Where a bar's notional is below 10**18, prices add up to less than that and changes to less than twice that, so
    every sum of products is below 2**123, and no high half overflows. O(n_trades).
    """
    sums = np.empty((opened.size, ends.size), np.int64)
    bar, begin = opened.copy(), 0
    for n_bars in range(ends.size + 1):
        end = ends[n_bars] + 1 if n_bars < ends.size else ts.size
        _add(bar, ts, price, quantity, whole, side, begin, end, large)
        begin = end
        if n_bars < ends.size:
            for row in range(bar.size):
                sums[row, n_bars] = bar[row]
            bar[:] = 0
    return sums, bar


@kernel
def _add(bar: I64, ts: I64, price: I64, quantity: I64, whole: I64, side: I8, begin: int, end: int, large: int) -> None:
    """Add the trades from begin up to end to the bar: the first two one by one, since they look back into the bar."""
    buys = 0
    for i in range(begin, end):
        buys += side[i] > 0
    bar[BUYS] += buys
    if large <= LIMIT:
        bar[LARGE] += _in_large_trades(price[begin:end], quantity[begin:end], whole[begin:end], large)
    for i in range(begin, min(begin + 2, end)):
        _add_one(bar, ts[i], price[i], quantity[i], side[i])
    for start in range(begin + 2, end, BLOCK):
        stop = min(start + BLOCK, end)
        if not _add_block(bar, ts[start - 1 : stop], price[start - 2 : stop], quantity[start:stop], side[start:stop]):
            for i in range(start, stop):
                _add_one(bar, ts[i], price[i], quantity[i], side[i])


@kernel
def _in_large_trades(price: I64, quantity: I64, whole: I64, large: int) -> int:
    """Return the notional in large trades. Of a cut trade the pieces fit in 18 digits, the whole need not."""
    notional = 0
    for i in range(price.size):
        is_large = float(price[i]) * float(whole[i]) > 1e18 or price[i] * whole[i] >= large
        notional += price[i] * quantity[i] if is_large else 0
    return notional


@kernel
def _add_one(bar: I64, ts: int, price: int, quantity: int, side: int) -> None:
    """Add a trade to the sums of products, whatever its size."""
    if bar[SEEN] > 0:
        change, pause, last, move = price - bar[LAST_PRICE], ts - bar[LAST_TS], bar[LAST_CHANGE], bar[LAST_MOVE]
        flow, size = quantity if side > 0 else -quantity, abs(change)
        _plus(bar, CHANGE_CHANGE, change, last)
        _plus(bar, FLOW_CHANGE, flow, change)
        _plus(bar, FLOW_FLOW, flow, flow)
        _plus(bar, PAUSE_PAUSE, pause, pause)
        _plus(bar, MOVE_MOVE, size, move)
        _plus(bar, CHANGE_SQUARE, size, size)
        if bar[SEEN] == 1:
            bar[FIRST_CHANGE] = change
        bar[LAST_CHANGE] = change
        if size > 0:
            bar[N_MOVES], bar[LAST_MOVE] = bar[N_MOVES] + 1, size
    bar[SEEN], bar[LAST_TS], bar[LAST_PRICE] = bar[SEEN] + 1, ts, price


@kernel
def _plus(bar: I64, row: int, a: int, b: int) -> None:
    """Add a * b to a sum, where both are below 2**61 in size: in parts of 30 bits, as on paper."""
    a_high, a_low, b_high, b_low = a >> 30, a & _QUARTER, b >> 30, b & _QUARTER
    middle = a_high * b_low + a_low * b_high
    low = bar[row + 1] + ((middle & _QUARTER) << 30) + a_low * b_low
    bar[row] += a_high * b_high + (middle >> 30) + (low >> HALF)
    bar[row + 1] = low & _LOW


@kernel
def _add_block(bar: I64, ts: I64, price: I64, quantity: I64, side: I8) -> bool:
    """Add at most BLOCK trades at once, or none of them and return False where one is too large for that.

    quantity, side  (n,)      n >= 1
    ts              (n + 1,)  from the trade before the first
    price           (n + 2,)  from the second trade before the first

    Each loop is one that a compiler turns into vectors.
    """
    n, bits = quantity.size, bar[LAST_MOVE]
    for i in range(n + 1):
        bits |= abs(price[i + 1] - price[i])
    for i in range(n):
        bits |= (ts[i + 1] - ts[i]) | quantity[i]
    if bits >> BITS:
        return False
    change_change = flow_change = flow_flow = pause_pause = change_square = 0
    for i in range(n):
        change, pause = price[i + 2] - price[i + 1], ts[i + 1] - ts[i]
        change_change += change * (price[i + 1] - price[i])
        flow_change += quantity[i] * change * side[i]
        flow_flow += quantity[i] * quantity[i]
        pause_pause += pause * pause
        change_square += change * change
    move, n_moves, move_move = bar[LAST_MOVE], 0, 0
    for i in range(n):
        size = abs(price[i + 2] - price[i + 1])
        move_move += size * move
        n_moves += size > 0
        move = size if size > 0 else move
    _plus(bar, CHANGE_CHANGE, change_change, 1)
    _plus(bar, FLOW_CHANGE, flow_change, 1)
    _plus(bar, FLOW_FLOW, flow_flow, 1)
    _plus(bar, PAUSE_PAUSE, pause_pause, 1)
    _plus(bar, MOVE_MOVE, move_move, 1)
    _plus(bar, CHANGE_SQUARE, change_square, 1)
    bar[SEEN] += n
    bar[LAST_TS], bar[LAST_PRICE], bar[LAST_CHANGE] = ts[n], price[n + 1], price[n + 1] - price[n]
    bar[N_MOVES] += n_moves
    bar[LAST_MOVE] = move
    return True
