"""Relative strength index."""

import math

import numpy as np

from tickloom.kernel import F64, kernel

STILL = 1e-200
"""Average moves below this part of the price count as none: nearer to 0, floats lose digits and the ratio its sense."""


@kernel
def rsi(x: F64, timeperiod: int) -> F64:
    """Return 100 * average gain / (average gain + average loss), both smoothed as Wilder does.

    x           (n_bars,)  price, any unit
    timeperiod  bars, >= 1 (TA-Lib asks for 2)
    returns     (n_bars,)  0..100; the first timeperiod are NaN

    The first averages are the means of the first timeperiod changes; then average += (change - average) / timeperiod.
    A price that has never moved has an RSI of 0, as in TA-Lib (others say 50 or 100): a rule such as `rsi_14 < 30`
    holds there. NaN and infinity at the front are skipped; one later on makes all that follows NaN.

    Source: Wilder (1978), New Concepts in Technical Trading Systems, section VI; TA-Lib, TA_RSI. O(n_bars).
    Raises ValueError if timeperiod < 1.
    """
    if timeperiod < 1:
        raise ValueError("timeperiod must be at least 1")
    out = np.full(x.size, np.nan)
    first = 0
    while first < x.size and not math.isfinite(x[first]):
        first += 1
    gain, loss, share = 0.0, 0.0, 1.0 / timeperiod
    keep = (timeperiod - 1) / timeperiod
    for i in range(first + 1, x.size):
        if not math.isfinite(x[i]):
            break
        change = x[i] - x[i - 1]
        up, down = max(change, 0.0), max(-change, 0.0)
        if i <= first + timeperiod:
            gain, loss = gain + up * share, loss + down * share
        else:
            gain, loss = keep * gain + share * up, keep * loss + share * down
        if i >= first + timeperiod:
            moved = gain + loss
            out[i] = 0.0 if moved <= STILL * abs(x[i]) else 100.0 * (gain / moved)
    return out
