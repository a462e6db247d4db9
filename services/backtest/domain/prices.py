"""Bars as the engine wants them: checked once, so that the engine need not."""

import numpy as np

from services.backtest.kernels.types import Prices
from tickloom.errors import BadRequest
from tickloom.kernel import F64, I64

DAY_US = 86_400_000_000


class BadPrices(BadRequest):
    """The bars cannot be traded: a wrong price makes a wrong result."""

    next_step = "look at the bars and the quality record of the download that they come from"

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[1]}"


def utc_day(ts_close: I64) -> I64:
    """Return the UTC day (days since the epoch) of each close. A bar that closes at midnight ends the day before it."""
    return (ts_close - 1) // DAY_US


def checked_prices(symbol: str, open_: F64, high: F64, low: F64, close: F64, ts_close: I64) -> Prices:
    """Return the bars of `symbol`, all (n_bars,), as the engine reads them.

    Raises BadPrices without a bar, on a price that is not finite and > 0, on a bar whose high or low does not enclose
    its open and close, and on times that run backwards.
    """
    if not close.size:
        raise BadPrices(symbol, "there is no bar to trade on")
    for name, column in (("open", open_), ("high", high), ("low", low), ("close", close)):
        bad = ~(np.isfinite(column) & (column > 0))
        if bad.any():
            at = int(bad.argmax())
            raise BadPrices(symbol, f"{name} of bar {at} is {column[at]}, and a price is finite and above 0")
    crossed = (low > np.minimum(open_, close)) | (high < np.maximum(open_, close))
    if crossed.any():
        raise BadPrices(symbol, f"open or close of bar {int(crossed.argmax())} lies outside its low and high")
    backwards = np.diff(ts_close) < 0
    if backwards.any():
        raise BadPrices(symbol, f"bar {int(backwards.argmax()) + 1} closes before the bar in front of it")
    day = utc_day(ts_close)
    return Prices(open_, high, low, close, ts_close, day - day[0])
