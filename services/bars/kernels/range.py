"""Range bars: close a bar once its high is a range above its low.

Source: the bars of V. Nicolellis (1995) as charting programs have them, on trades; nothing is made up where the price
jumps: a bar's prices are those of its trades.
"""

import numpy as np

from tickloom.kernel import I64, kernel


@kernel
def range_bar_ends(price: I64, size: int, high: int, low: int) -> tuple[I64, int, int]:
    """Return the last trade of each bar that closes, and the high and low of the bar still open, 0 and 0 without one.

    price      (n_trades,)  ticks, > 0, in id order
    size                    ticks, > 0
    high, low               of the bar open before price[0], high - low < size; 0 and 0 without one
    ends       (n_bars,)    strictly increasing indices into price

    The crossing trade belongs to the bar that it closes; the next bar opens with the trade after it. O(n_trades).
    """
    ends, n_bars = np.empty(price.size, np.int64), 0
    for i in range(price.size):
        high, low = max(high, price[i]), min(low, price[i]) if low else price[i]
        if high - low >= size:
            ends[n_bars] = i
            n_bars, high, low = n_bars + 1, 0, 0
    return ends[:n_bars].copy(), high, low
