"""Rolling z-score."""

import numpy as np

from services.features.kernels.rolling import moments
from tickloom.kernel import F64


def zscore(x: F64, timeperiod: int) -> F64:
    """Return how many population deviations each value lies above the mean of the window that ends at it.

    x           (n_bars,)  any unit, as volume
    timeperiod  bars, >= 1
    returns     (n_bars,)  no unit, at most sqrt(timeperiod - 1) in size; the first timeperiod - 1 are NaN

    The bar itself belongs to its window. Where the window does not vary the z-score is NaN, never infinite; so it is
    NaN throughout for timeperiod 1. Source: population z-score, mean and deviation as TA-Lib's TA_SMA and TA_STDDEV.
    O(n_bars). Raises ValueError if timeperiod < 1.
    """
    mean, deviation = moments(x, timeperiod)
    out: F64 = np.full(x.size, np.nan)
    np.divide(x - mean, deviation, out=out, where=deviation > 0.0)
    return out
