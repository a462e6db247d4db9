"""Exponential moving average, with TA-Lib's classic start."""

import math

import numpy as np

from tickloom.kernel import F64, kernel


@kernel
def ema(x: F64, timeperiod: int) -> F64:
    """Return the exponential moving average with smoothing 2 / (timeperiod + 1).

    x           (n_bars,)  any unit
    timeperiod  bars, >= 1
    returns     (n_bars,)  in the unit of x; the first timeperiod - 1 are NaN, the next is the mean of as many values

    NaN and infinity at the front are skipped; one later on makes all that follows NaN, for the recursion has lost its
    past. Constant values have themselves as their average, exactly.

    Source: TA-Lib, TA_EMA, compatibility "default". O(n_bars). Raises ValueError if timeperiod < 1.
    """
    if timeperiod < 1:
        raise ValueError("timeperiod must be at least 1")
    out = np.full(x.size, np.nan)
    first = 0
    while first < x.size and not math.isfinite(x[first]):
        first += 1
    last = first + timeperiod - 1
    if last >= x.size:
        return out
    total = 0.0
    for j in range(first, last + 1):
        total += x[j] - x[first]  # about the first value, so that equal values sum without rounding
    smoothing, average = 2.0 / (timeperiod + 1), x[first] + total / timeperiod
    if not math.isfinite(average):
        return out
    out[last] = average
    for i in range(last + 1, x.size):
        if not math.isfinite(x[i]):
            break
        average += smoothing * (x[i] - average)
        out[i] = average
    return out
