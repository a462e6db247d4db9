"""Means and deviations over a sliding window, in O(1) a bar, without the drift of a running sum.

A running sum never forgets its rounding errors: after one spike of volume TA-Lib's and pandas' windows stay wrong for
ever. Here the sums are taken anew from the window itself (re-anchored) every REANCHOR_EVERY bars, and at once when what
is left of them is less than LOST of what they held since. So the rounding that may pile up is at most
2 * 1024 * 2**-53 / LOST, a relative error of 1e-9, whatever came before.

A window of equal values has that value as its mean and a deviation of 0, exactly. A window that holds NaN or infinity
has no result; the first window without it has one again (TA-Lib's stays NaN to the end).

The three kernels live in one file because numba's cache does not see a change in another file.
"""

import math

import numpy as np

from tickloom.kernel import F64, kernel

REANCHOR_EVERY = 1024
LOST = 2.0**-12


@kernel
def sma(x: F64, timeperiod: int) -> F64:
    """Return the simple moving average: the mean of the `timeperiod` values that end at each bar.

    x           (n_bars,)  any unit
    timeperiod  bars, >= 1
    returns     (n_bars,)  in the unit of x; the first timeperiod - 1 are NaN

    Source: TA-Lib, TA_SMA. O(n_bars). Raises ValueError if timeperiod < 1.
    """
    if timeperiod < 1:
        raise ValueError("timeperiod must be at least 1")
    out = np.full(x.size, np.nan)
    known, run, age = 0, 0, REANCHOR_EVERY  # finite values in a row; equal values in a row; bars since the anchor
    total, peak = 0.0, 0.0
    for i in range(x.size):
        if not math.isfinite(x[i]):
            known, run, age = 0, 0, REANCHOR_EVERY
            continue
        run = run + 1 if known > 0 and x[i] == x[i - 1] else 1
        known += 1
        if run >= timeperiod:
            out[i], age = x[i], REANCHOR_EVERY
        elif known >= timeperiod:
            age += 1
            if age <= REANCHOR_EVERY:
                total += x[i] - x[i - timeperiod]
                peak = max(peak, abs(total))
            if age > REANCHOR_EVERY or abs(total) < LOST * peak:
                total, age = 0.0, 0
                for j in range(i - timeperiod + 1, i + 1):
                    total += x[j]
                peak = abs(total)
            out[i] = total / timeperiod
    return out


@kernel
def _centred(x: F64, last: int, timeperiod: int) -> tuple[float, float, float]:
    """Return a centre of the window that ends at `last`, and the sum and sum of squares of what differs from it."""
    centre, total, squares = x[last], 0.0, 0.0
    for j in range(last - timeperiod + 1, last + 1):
        total += x[j] - x[last]
    centre += total / timeperiod
    total = 0.0
    for j in range(last - timeperiod + 1, last + 1):
        total += x[j] - centre
        squares += (x[j] - centre) * (x[j] - centre)
    return centre, total, squares


@kernel
def moments(x: F64, timeperiod: int) -> tuple[F64, F64]:
    """Return mean and population standard deviation of the `timeperiod` values that end at each bar.

    x           (n_bars,)  any unit
    timeperiod  bars, >= 1
    returns     two of (n_bars,), in the unit of x; the first timeperiod - 1 are NaN

    Source: TA-Lib, TA_STDDEV with nbdev 1; we sum squares about a centre near the window, TA-Lib about 0, which
    loses the digits that price and its deviation do not share. O(n_bars). Raises ValueError if timeperiod < 1.
    """
    if timeperiod < 1:
        raise ValueError("timeperiod must be at least 1")
    mean, deviation = np.full(x.size, np.nan), np.full(x.size, np.nan)
    known, run, age = 0, 0, REANCHOR_EVERY
    centre, total, squares, peak, spread = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(x.size):
        if not math.isfinite(x[i]):
            known, run, age = 0, 0, REANCHOR_EVERY
            continue
        run = run + 1 if known > 0 and x[i] == x[i - 1] else 1
        known += 1
        if run >= timeperiod:
            mean[i], deviation[i], age = x[i], 0.0, REANCHOR_EVERY
        elif known >= timeperiod:
            age += 1
            if age <= REANCHOR_EVERY:
                entering, leaving = x[i] - centre, x[i - timeperiod] - centre
                total += entering - leaving
                squares += entering * entering - leaving * leaving
                peak = max(peak, squares)
                spread = squares - total * total / timeperiod
            if age > REANCHOR_EVERY or spread < LOST * peak:
                centre, total, squares = _centred(x, i, timeperiod)
                spread = squares - total * total / timeperiod
                peak, age = squares, 0
            mean[i], deviation[i] = centre + total / timeperiod, math.sqrt(max(spread, 0.0) / timeperiod)
    return mean, deviation
