"""Tick bars: close a bar on its n-th trade.

Source: López de Prado (2018), Advances in Financial Machine Learning, section 2.3.1.
"""

import numpy as np

from tickloom.kernel import I64, kernel


@kernel
def tick_bar_ends(n_trades: int, threshold: int, carry: int) -> tuple[I64, int]:
    """Return the last trade of each bar that closes, and the number of trades left in the bar still open.

    n_trades   trades at hand, >= 0
    threshold  trades, > 0
    carry      trades in the bar open before the first; 0 <= carry < threshold, as is the one returned
    ends       (n_bars,)  strictly increasing indices of trades

    Passing carry from one partition to the next equals one call on their concatenation. O(n_bars).
    """
    n_bars = (carry + n_trades) // threshold
    ends = np.empty(n_bars, np.int64)
    for i in range(n_bars):
        ends[i] = (i + 1) * threshold - carry - 1
    return ends, carry + n_trades - n_bars * threshold
