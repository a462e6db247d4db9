"""Renko bars: close a bar once the price is a brick further, or two bricks against the direction of the last one.

Bricks lie on the multiples of their size. Source: Nison (1994), Beyond Candlesticks, chapter 8. Where we depart from
it: bricks are completed by trades, not by closes of days; a trade that completes several bricks closes one bar; and a
bar's prices are those of its trades, since nobody could trade at those of a brick.
"""

import numpy as np

from tickloom.kernel import I64, kernel


@kernel
def renko_bar_ends(price: I64, size: int, level: int, way: int) -> tuple[I64, I64, int, int]:
    """Return the last trade of each bar that closes, its bricks, and the level and direction that the last one left.

    price     (n_trades,)  ticks, > 0, in id order
    size                   ticks, > 0
    level                  ticks, a multiple of size: where the last brick ended; -1: no trade yet
    way                    the last brick's direction, +1 or -1; 0: no brick yet
    ends      (n_bars,)    strictly increasing indices into price
    bricks    (n_bars,)    bricks that the bar completed, > 0 upwards, < 0 downwards

    Without a brick yet, the level is the multiple at or below the first price. O(n_trades).
    """
    ends, bricks, n_bars = np.empty(price.size, np.int64), np.empty(price.size, np.int64), 0
    for i in range(price.size):
        if level < 0:
            level = price[i] - price[i] % size
        up, down = level + size * (2 if way < 0 else 1), level - size * (2 if way > 0 else 1)
        if price[i] >= up:
            done = (price[i] - up) // size + 1
            level, way = up + (done - 1) * size, 1
        elif price[i] <= down:
            done = -((down - price[i]) // size + 1)
            level, way = down + (done + 1) * size, -1
        else:
            continue
        ends[n_bars], bricks[n_bars], n_bars = i, done, n_bars + 1
    return ends[:n_bars].copy(), bricks[:n_bars].copy(), level, way
