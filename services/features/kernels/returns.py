"""What changed over n bars: momentum and log returns, and how much the returns vary."""

import math

import numpy as np

from services.features.kernels.rolling import moments
from tickloom.kernel import F64, kernel


@kernel
def mom(x: F64, timeperiod: int) -> F64:
    """Return the momentum: each value less the value `timeperiod` bars before.

    x           (n_bars,)  any unit
    timeperiod  bars, >= 1
    returns     (n_bars,)  in the unit of x; the first timeperiod are NaN, and where one of the two is not finite

    Source: TA-Lib, TA_MOM. O(n_bars). Raises ValueError if timeperiod < 1.
    """
    if timeperiod < 1:
        raise ValueError("timeperiod must be at least 1")
    out = np.full(x.size, np.nan)
    for i in range(timeperiod, x.size):
        if math.isfinite(x[i]) and math.isfinite(x[i - timeperiod]):
            out[i] = x[i] - x[i - timeperiod]
    return out


@kernel
def log_return(x: F64, timeperiod: int) -> F64:
    """Return the natural logarithm of each value over the value `timeperiod` bars before.

    x           (n_bars,)  price, any unit
    timeperiod  bars, >= 1
    returns     (n_bars,)  no unit; the first timeperiod are NaN, and where one of the two is not finite and above 0

    The logarithm is taken of the ratio, so the unit of price cancels before anything is rounded.
    Source: Campbell, Lo, MacKinlay (1997), The Econometrics of Financial Markets, section 1.4. O(n_bars).
    Raises ValueError if timeperiod < 1.
    """
    if timeperiod < 1:
        raise ValueError("timeperiod must be at least 1")
    out = np.full(x.size, np.nan)
    for i in range(timeperiod, x.size):
        if x[i - timeperiod] > 0.0:
            ratio = x[i] / x[i - timeperiod]
            if ratio > 0.0 and math.isfinite(ratio):
                out[i] = math.log(ratio)
    return out


def volatility(close: F64, timeperiod: int) -> F64:
    """Return the population standard deviation of the `timeperiod` 1-bar log returns that end at each bar.

    close       (n_bars,)  price, any unit
    timeperiod  bars, >= 1
    returns     (n_bars,)  no unit, per bar and not annualised; the first timeperiod are NaN

    Source: TA-Lib, TA_STDDEV with nbdev 1 of the log returns. O(n_bars). Raises ValueError if timeperiod < 1.
    """
    deviation: F64 = moments(log_return(close, 1), timeperiod)[1]
    return deviation
