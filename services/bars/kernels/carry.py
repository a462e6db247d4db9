"""The carry table of volume and dollar bars that drop the excess: where the last bar of a partition ends, for every
amount that may be in the bar open before it.

From a bar's end the next end is certain, so the last one in the partition is too: one pass backwards finds it for every
trade. A larger amount carried in ends the first bar no later, and chains of ends never cross, so few last ends are
possible, and each belongs to a stretch of amounts. Source of the idea, to make a fold parallel by composing what its
steps do to any state: Hillis and Steele (1986), Data parallel algorithms, on parsing a regular language.
"""

import numpy as np

from tickloom.kernel import I64, kernel


@kernel
def carry_table(price: I64, quantity: I64, dollars: bool, threshold: int) -> tuple[I64, I64]:
    """Return from which amount carried in the last bar ends where.

    price, quantity  (n_trades,)  ticks and lots, > 0, in id order; no price * quantity above 10**18
    dollars                       whether a trade counts its notional, else its quantity
    threshold                     tick-lots or lots, 0 < threshold <= 10**18
    least            (n_steps,)   strictly decreasing: the least amount carried in that leads to that end. An amount
                                  below the last one closes no bar here
    last             (n_steps,)   the last trade of the last bar that closes

    O(n_trades), in time and in memory.
    """
    last, after = np.empty(quantity.size, np.int64), quantity.size - 1
    amount = 0  # of the trades i + 1 up to `after`
    for i in range(quantity.size - 1, -1, -1):
        while after > i:
            newest = quantity[after] * (price[after] if dollars else 1)
            if amount - newest < threshold:
                break
            amount, after = amount - newest, after - 1
        last[i] = last[after] if amount >= threshold else i
        amount += quantity[i] * (price[i] if dollars else 1)
    least, ends, n_steps, needed = np.empty(quantity.size, np.int64), np.empty(quantity.size, np.int64), 0, threshold
    for i in range(quantity.size):  # the first bar may end here: with all before it the partition's trades reach it
        needed -= quantity[i] * (price[i] if dollars else 1)
        if n_steps == 0 or last[i] != ends[n_steps - 1]:
            ends[n_steps], n_steps = last[i], n_steps + 1
        least[n_steps - 1] = max(needed, 0)
        if needed <= 0:
            break
    return least[:n_steps].copy(), ends[:n_steps].copy()
