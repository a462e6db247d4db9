"""Bollinger bands."""

from services.features.kernels.rolling import moments
from tickloom.kernel import F64


def bbands(x: F64, timeperiod: int, nbdevup: float, nbdevdn: float) -> tuple[F64, F64, F64]:
    """Return the upper, middle and lower band: the moving average, and population deviations above and below it.

    x                 (n_bars,)  price, any unit
    timeperiod        bars, >= 1 (TA-Lib asks for 2)
    nbdevup, nbdevdn  deviations above and below, > 0
    returns           three of (n_bars,), in the unit of x; the first timeperiod - 1 are NaN

    The middle band is `sma`, bit for bit. Source: Bollinger (2001), Bollinger on Bollinger Bands, chapter 7; TA-Lib,
    TA_BBANDS with matype SMA. O(n_bars). Raises ValueError if timeperiod < 1.
    """
    middle: F64
    deviation: F64
    middle, deviation = moments(x, timeperiod)
    upper, lower = nbdevup * deviation, -nbdevdn * deviation
    upper += middle
    lower += middle
    return upper, middle, lower
