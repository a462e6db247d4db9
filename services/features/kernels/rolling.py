"""Mean and deviation over a sliding window, in O(1) a bar, without the drift of a running sum.

A running sum never forgets its rounding errors: after one spike of volume TA-Lib's and pandas' windows stay wrong for
ever. Here the sums are taken anew from the window itself, about its last value, (re-anchored) every REANCHOR_EVERY
bars, and at once when the spread left in them is less than LOST of what they held since. So the rounding that may
pile up is at most 2 * 1024 * 2**-53 / LOST, a relative error of 1e-9 in the variance, whatever came before.

A window of equal values has that value as its mean and a deviation of 0, exactly. A window that holds NaN or infinity
has no result; the first window without it has one again (TA-Lib's stays NaN to the end).
"""

import math

import numpy as np

from tickloom.kernel import F64, kernel

REANCHOR_EVERY = 1024
LOST = 2.0**-12


@kernel
def _sums(x: F64, last: int, timeperiod: int) -> tuple[float, float]:
    """Return sum and sum of squares of how the values of the window that ends at `last` differ from x[last]."""
    total, squares = 0.0, 0.0
    for j in range(last - timeperiod + 1, last + 1):
        total += x[j] - x[last]
        squares += (x[j] - x[last]) * (x[j] - x[last])
    return total, squares


@kernel
def moments(x: F64, timeperiod: int, with_deviation: bool = True) -> tuple[F64, F64]:
    """Return mean and population standard deviation of the `timeperiod` values that end at each bar.

    x               (n_bars,)  any unit
    timeperiod      bars, >= 1
    with_deviation  without it the deviation is empty, and nothing is spent on it
    returns         two of (n_bars,), in the unit of x; the first timeperiod - 1 are NaN

    Source: TA-Lib, TA_SMA and TA_STDDEV with nbdev 1; we sum about a value of the window, TA-Lib about 0, which
    loses the digits that price and its deviation do not share. O(n_bars). Raises ValueError if timeperiod < 1.
    """
    if timeperiod < 1:
        raise ValueError("timeperiod must be at least 1")
    mean, deviation = np.full(x.size, np.nan), np.full(x.size if with_deviation else 0, np.nan)
    share, hole, age = 1.0 / timeperiod, -1, REANCHOR_EVERY  # the last bar that is no number; bars since the anchor
    centre, total, squares, peak = 0.0, 0.0, 0.0, 0.0
    for i in range(x.size):
        if age < REANCHOR_EVERY:
            entering, leaving = x[i] - centre, x[i - timeperiod] - centre
            total += entering - leaving
            squares += (entering - leaving) * (entering + leaving)
            peak, age = max(peak, squares), age + 1
            spread = squares - total * total * share
            if spread >= LOST * peak:  # false also when one of them is NaN
                mean[i] = centre + total * share
                if with_deviation:
                    deviation[i] = spread * share
                continue
        if not math.isfinite(x[i]):
            hole, age = i, REANCHOR_EVERY
        elif i - hole >= timeperiod:
            total, squares = _sums(x, i, timeperiod)
            centre, peak, age = x[i], squares, 0
            mean[i] = centre + total * share
            if with_deviation:
                deviation[i] = max(squares - total * total * share, 0.0) * share
    for i in range(deviation.size):
        deviation[i] = math.sqrt(deviation[i])
    return mean, deviation


def sma(x: F64, timeperiod: int) -> F64:
    """Return the simple moving average: the mean of the `timeperiod` values that end at each bar.

    x           (n_bars,)  any unit
    timeperiod  bars, >= 1
    returns     (n_bars,)  in the unit of x; the first timeperiod - 1 are NaN

    Source: TA-Lib, TA_SMA. O(n_bars). Raises ValueError if timeperiod < 1.
    """
    mean: F64 = moments(x, timeperiod, False)[0]
    return mean
