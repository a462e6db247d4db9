"""Average true range."""

import math

import numpy as np

from tickloom.kernel import F64, kernel


@kernel
def atr(high: F64, low: F64, close: F64, timeperiod: int) -> F64:
    """Return the true range, smoothed as Wilder does.

    high, low, close  (n_bars,)  price, any unit
    timeperiod        bars, >= 1
    returns           (n_bars,)  in the unit of price, >= 0; the first timeperiod are NaN

    The true range of a bar is the largest of high - low, |high - previous close| and |low - previous close|, so the
    first bar has none. The first average is the mean of timeperiod ranges; then it moves by
    (range - average) / timeperiod. Bars at the front with NaN or infinity in one of the three are skipped; a later one
    makes all that follows NaN.

    Source: Wilder (1978), New Concepts in Technical Trading Systems, section III; TA-Lib, TA_ATR. O(n_bars).
    Raises ValueError if timeperiod < 1, or if the three differ in length.
    """
    if timeperiod < 1:
        raise ValueError("timeperiod must be at least 1")
    if high.size != close.size or low.size != close.size:
        raise ValueError("high, low and close must be of one length")
    out = np.full(close.size, np.nan)
    first = 0
    while first < close.size and not math.isfinite(high[first] + low[first] + close[first]):
        first += 1
    average, share, keep = 0.0, 1.0 / timeperiod, (timeperiod - 1) / timeperiod
    for i in range(first + 1, close.size):
        if not math.isfinite(high[i] + low[i] + close[i]):
            break
        before = close[i - 1]
        true_range = max(high[i] - low[i], abs(high[i] - before), abs(low[i] - before))
        if i <= first + timeperiod:
            average += true_range * share
        else:
            average = keep * average + share * true_range
        if i >= first + timeperiod:
            out[i] = average
    return out
