"""Bars of an exact size: trades are cut where what has been traded reaches a multiple of the threshold.

Source: the volume and value bars of NautilusTrader and LEAN, which cut a trade in the same way. Where we depart from
them: pieces are of whole lots, so the n-th bar ends with the first lot by which n thresholds are reached. A lot is the
finest unit of the quantities so far: no later trade moves a cut.
"""

import numpy as np

from tickloom.kernel import I64, Bool, inlined, kernel


@kernel
def n_pieces(price: I64, quantity: I64, dollars: bool, threshold: int, lot: int) -> int:
    """Return how many pieces `split_trades` may need at most, or so; arguments are as there. O(n_trades)."""
    pieces, unit = 0, _unit(dollars, threshold, lot)
    for i in range(quantity.size):
        if lot > 1 and quantity[i] % lot:
            lot = _finer(lot, quantity[i])
            unit = _unit(dollars, threshold, lot)
        amount = quantity[i] * price[i] if dollars else quantity[i]
        pieces += 2 if amount < threshold else min(amount // threshold + 1, quantity[i] // unit) + 1
        if pieces > 2**62 - amount:
            break
    return pieces


@kernel
def split_trades(
    price: I64, quantity: I64, dollars: bool, threshold: int, lot: int, carry: int, most: int
) -> tuple[I64, I64, Bool, I64, int, int]:
    """Return the pieces of trades, the last piece of each bar that closes, what counts for the next bar already, and
    the lot after them.

    price      (n_trades,)  ticks, > 0, in id order
    quantity   (n_trades,)  units, > 0; every price * quantity is below 10**18
    dollars                 whether a unit counts its price, else 1
    threshold               tick-units or units, 0 < threshold <= 10**18
    lot                     units, a power of ten: the finest that the quantities before these needed, as is the one
                            returned; a piece is made of whole lots, or of volume of what lot and threshold share
    carry                   tick-units or units traded since the last multiple of the threshold; 0 <= carry < threshold,
                            as is the one returned
    most                    as n_pieces has it
    trade      (n_pieces,)  indices into price, non-decreasing
    units      (n_pieces,)  > 0; those of a trade add up to its quantity
    rest       (n_pieces,)  whether an earlier piece of the same trade is in the bar before
    ends       (n_bars,)    strictly increasing indices of pieces

    A lot dearer than the threshold is a bar, not several. Passing carry from one partition to the next equals one call
    on their concatenation. O(n_trades + n_bars).
    """
    trade, units = np.empty(most, np.int64), np.empty(most, np.int64)
    rest, ends, n, n_bars = np.empty(most, np.bool_), np.empty(most, np.int64), 0, 0
    unit = _unit(dollars, threshold, lot)
    for i in range(quantity.size):
        if lot > 1 and quantity[i] % lot:
            lot = _finer(lot, quantity[i])
            unit = _unit(dollars, threshold, lot)
        worth, left, is_rest = price[i] if dollars else 1, quantity[i], False
        if left * worth < threshold - carry:  # nearly always: nothing to cut, nothing to divide
            trade[n], units[n], rest[n] = i, left, False
            carry, n = carry + left * worth, n + 1
            continue
        while left > 0:
            piece = left
            if left * worth >= threshold - carry:
                piece = ((threshold - carry - 1) // (worth * unit) + 1) * unit
            trade[n], units[n], rest[n] = i, piece, is_rest
            carry, left, is_rest = carry + piece * worth, left - piece, True
            if carry >= threshold:
                ends[n_bars], n_bars, carry = n, n_bars + 1, carry % threshold
            n += 1
    return trade[:n], units[:n], rest[:n], ends[:n_bars], carry, lot


@inlined
def _finer(lot: int, quantity: int) -> int:
    """Return the largest tenth of a tenth ... of a lot that the quantity is whole in."""
    while quantity % lot:
        lot //= 10
    return lot


@inlined
def _unit(dollars: bool, threshold: int, lot: int) -> int:
    """Return what pieces are multiples of: a lot, or of volume the largest that fits in both lot and threshold."""
    while not dollars and threshold % lot:
        threshold, lot = lot, threshold % lot
    return lot
