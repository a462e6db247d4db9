"""Donchian channel."""

import math

import numpy as np

from tickloom.kernel import F64, kernel


@kernel
def extreme(x: F64, timeperiod: int, side: int) -> F64:
    """Return the highest (side 1) or lowest (side -1) of the `timeperiod` values that end at each bar.

    x           (n_bars,)  any unit
    timeperiod  bars, >= 1
    returns     (n_bars,)  in the unit of x; the first timeperiod - 1 are NaN

    A window that holds NaN or infinity has no result. Source: TA-Lib, TA_MAX and TA_MIN. O(n_bars): `waiting` keeps
    the bars of the window that no later one has reached. Raises ValueError if timeperiod < 1.
    """
    if timeperiod < 1:
        raise ValueError("timeperiod must be at least 1")
    out, waiting = np.full(x.size, np.nan), np.empty(x.size, np.int64)
    head, tail, hole = 0, 0, -1
    for i in range(x.size):
        if not math.isfinite(x[i]):
            head, tail, hole = 0, 0, i
            continue
        while tail > head and side * x[waiting[tail - 1]] <= side * x[i]:
            tail -= 1
        waiting[tail] = i
        tail += 1
        if waiting[head] <= i - timeperiod:
            head += 1
        if i - hole >= timeperiod:
            out[i] = x[waiting[head]]
    return out


def donchian(high: F64, low: F64, timeperiod: int) -> tuple[F64, F64, F64]:
    """Return the upper, middle and lower line: the highest high, the lowest low, and half way between.

    high, low   (n_bars,)  price, any unit
    timeperiod  bars, >= 1, the bar itself among them
    returns     three of (n_bars,), in the unit of price; the first timeperiod - 1 are NaN

    Source: Donchian (1960), High Finance in Copper, Financial Analysts Journal 16(6); TA-Lib, TA_MAX of the highs,
    TA_MIN of the lows, TA_MIDPRICE. O(n_bars). Raises ValueError if timeperiod < 1.
    """
    upper, lower = extreme(high, timeperiod, 1), extreme(low, timeperiod, -1)
    return upper, (upper + lower) / 2.0, lower
