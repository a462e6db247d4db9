"""Dollar bars: close a bar once the notional traded in it reaches a threshold.

Source: López de Prado (2018), Advances in Financial Machine Learning, section 2.3.1.
"""

import numpy as np

from tickloom.kernel import I64, kernel


@kernel
def dollar_bar_ends(price: I64, quantity: I64, threshold: int, carry: int, keep: bool = False) -> tuple[I64, int]:
    """Return the last trade of each bar that closes, and the notional that counts for the next one already.

    price      (n_trades,)  ticks, > 0, in id order
    quantity   (n_trades,)  lots, > 0; `aggregate` refuses what a product of more than 18 digits makes of the ends
    threshold               tick-lots, 0 < threshold <= 10**18: exact, so 0.1 ten times is 1
    carry                   tick-lots counted before price[0]; 0 <= carry < threshold, as is the one returned
    keep                    whether the excess of a crossing trade counts for the next bar, less whole thresholds
    ends       (n_bars,)    strictly increasing indices into price

    The crossing trade belongs to its bar whole, one bar however large it is. With `keep` bars end where all that was
    traded passes a multiple of the threshold. Passing carry from one partition to the next equals one call on their
    concatenation. O(n_trades).
    """
    ends, n_bars = np.empty(price.size, np.int64), 0
    for i in range(price.size):
        carry += price[i] * quantity[i]
        if carry >= threshold:
            ends[n_bars] = i
            n_bars, carry = n_bars + 1, carry % threshold if keep else 0
    return ends[:n_bars].copy(), carry
