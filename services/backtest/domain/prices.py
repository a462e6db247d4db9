"""Bars as the engine wants them: checked once, so that the engine need not."""

from math import log

import numpy as np

from services.backtest.kernels.positions import YEAR_US
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


def yearly_volatility(close: F64, ts_close: I64, window: int) -> F64:
    """Return the standard deviation of returns over a year, (n_bars,), as known at each close; NaN before there is any.

    It is the root of the sum of the squared log returns of the last `window` bars (from the second bar on, those there
    are), over the time they took: bars of any length, and drift counts as movement.
    """
    # Of the ratio, not from logarithm to logarithm: so prices in another unit give the same, to the last bit.
    # By the C library's logarithm: NumPy's has other last bits where the processor has AVX-512 than where it has not.
    returns = np.array([log(ratio) for ratio in (close[1:] / close[:-1]).tolist()], np.float64)
    squares = np.cumsum(np.square(returns), dtype=np.float64)
    squares = np.concatenate([[0.0], squares])
    first = np.maximum(np.arange(close.size) - window, 0)
    elapsed = (ts_close - ts_close[first]) / YEAR_US
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(elapsed > 0, np.maximum(squares - squares[first], 0.0) / elapsed, np.nan)
    return np.asarray(np.sqrt(variance), np.float64)


def checked_flow(symbol: str, prices: Prices, volume: F64 | None, window: int) -> Prices:
    """Return the bars with their volume, if it is given, and with the volatility over `window` bars, if that is not 0.

    Raises BadPrices on a volume that is not finite or below 0.
    """
    if volume is not None:
        bad = ~(np.isfinite(volume) & (volume >= 0))
        if bad.any():
            at = int(bad.argmax())
            raise BadPrices(symbol, f"volume of bar {at} is {volume[at]}, and a volume is finite and not below 0")
        prices = prices._replace(volume=np.array(volume, np.float64, order="C"))
    return prices._replace(volatility=yearly_volatility(prices.close, prices.ts_close, window)) if window else prices


def with_stop_unit(prices: Prices, unit: F64 | None) -> Prices:
    """Return the bars with what a stop's distance is counted in, (n_bars,), NaN where not known; None: without."""
    return prices if unit is None else prices._replace(stop_unit=np.array(unit, np.float64, order="C"))


def checked_prices(symbol: str, open_: F64, high: F64, low: F64, close: F64, ts_close: I64) -> Prices:
    """Return the bars of `symbol`, all (n_bars,), as the engine reads them, without volume, volatility and stop_unit.

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
    # Arrays of one kind are one compiled engine: those from a table may be read-only, and numba tells the kinds apart.
    bars = [np.array(column, np.float64, order="C") for column in (open_, high, low, close)]
    day = utc_day(ts_close)
    day -= day[0]
    last_bar = np.searchsorted(day, np.arange(day[-1] + 1), "right") - 1
    close_sum = np.concatenate([[0.0], np.cumsum(bars[3])])
    opened, highest, lowest, closed = bars
    ts, none = np.array(ts_close, np.int64), np.empty(0)
    return Prices(opened, highest, lowest, closed, ts, day, last_bar, close_sum, none, none, none)
