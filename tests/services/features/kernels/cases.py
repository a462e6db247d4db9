"""What the kernel tests share: every kernel under one signature, its two twins, and prices to feed it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import talib
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.features.kernels.atr import atr
from services.features.kernels.bbands import bbands
from services.features.kernels.donchian import donchian
from services.features.kernels.ema import ema
from services.features.kernels.returns import log_return, mom, volatility
from services.features.kernels.rolling import moments, sma
from services.features.kernels.rsi import rsi
from services.features.kernels.zscore import zscore
from tests.naive import features as naive
from tickloom.kernel import F64


@dataclass(frozen=True)
class Case:
    """A kernel over (high, low, close, n), its twin, TA-Lib's own, its lookback and the power of price it scales by."""

    name: str
    fast: Callable[[F64, F64, F64, int], F64]
    slow: Callable[[F64, F64, F64, int], list[float]]
    talib: Callable[[F64, F64, F64, int], F64]
    lookback: Callable[[int], int]
    power: int = 1
    least: int = 1  # TA-Lib's smallest timeperiod


def _of_close(
    name: str,
    fast: Callable[[F64, int], F64],
    slow: Callable[[list[float], int], list[float]],
    theirs: Callable[[F64, int], F64],
    lookback: Callable[[int], int],
    **more: int,
) -> Case:
    return Case(
        name,
        lambda _high, _low, close, n: fast(close, n),
        lambda _high, _low, close, n: slow(close.tolist(), n),
        lambda _high, _low, close, n: theirs(close, n),
        lookback,
        **more,
    )


def _band(index: int) -> Case:
    return _of_close(
        ("bbands_upper", "bbands_middle", "bbands_lower")[index],
        lambda x, n: bbands(x, n, 2.0, 1.5)[index],
        lambda x, n: naive.bbands(x, n, 2.0, 1.5)[index],
        lambda x, n: talib.BBANDS(x, n, 2.0, 1.5)[index],
        _window,
        least=2,
    )


def _line(index: int) -> Case:
    theirs = (
        lambda high, _low, _close, n: talib.MAX(high, n),
        lambda high, low, _close, n: talib.MIDPRICE(high, low, n),
        lambda _high, low, _close, n: talib.MIN(low, n),
    )
    return Case(
        ("donchian_upper", "donchian_middle", "donchian_lower")[index],
        lambda high, low, _close, n: donchian(high, low, n)[index],
        lambda high, low, _close, n: naive.donchian(high.tolist(), low.tolist(), n)[index],
        theirs[index],
        _window,
        least=2,
    )


def _window(timeperiod: int) -> int:
    return timeperiod - 1


def _changes(timeperiod: int) -> int:
    return timeperiod


def _stddev(x: F64, n: int) -> F64:
    return moments(x, n)[1]


def _talib_stddev(x: F64, n: int) -> F64:
    return talib.STDDEV(x, n, 1.0)


def _talib_log_return(x: F64, n: int) -> F64:
    return np.log1p(talib.ROCP(x, n))


def _talib_volatility(x: F64, n: int) -> F64:
    return talib.STDDEV(np.log(x / np.r_[np.nan, x[:-1]]), n, 1.0)


def _talib_zscore(x: F64, n: int) -> F64:
    return (x - talib.SMA(x, n)) / talib.STDDEV(x, n, 1.0)


def _naive_atr(high: F64, low: F64, close: F64, n: int) -> list[float]:
    return naive.atr(high.tolist(), low.tolist(), close.tolist(), n)


CASES = [
    _of_close("sma", sma, naive.sma, talib.SMA, _window),
    _of_close("ema", ema, naive.ema, talib.EMA, _window),
    _of_close("rsi", rsi, naive.rsi, talib.RSI, _changes, power=0, least=2),
    Case("atr", atr, _naive_atr, talib.ATR, _changes),
    _band(0),
    _band(1),
    _band(2),
    _line(0),
    _line(1),
    _line(2),
    _of_close("stddev", _stddev, naive.stddev, _talib_stddev, _window, least=2),
    _of_close("zscore", zscore, naive.zscore, _talib_zscore, _window, power=0, least=2),
    _of_close("mom", mom, naive.mom, talib.MOM, _changes),
    _of_close("log_return", log_return, naive.log_return, _talib_log_return, _changes, power=0),
    _of_close("volatility", volatility, naive.volatility, _talib_volatility, _changes, power=0, least=2),
]

Market = tuple[F64, F64, F64]


def walk(n_bars: int, seed: int, level: float = 100.0, step: float = 0.01) -> Market:
    """Return high, low and close of a geometric random walk, (n_bars,) each."""
    rng = np.random.default_rng(seed)
    close = level * np.exp(np.cumsum(rng.standard_normal(n_bars) * step))
    before = np.r_[level, close[:-1]]
    reach = np.exp(np.abs(rng.standard_normal(n_bars)) * step / 2)
    return np.maximum(close, before) * reach, np.minimum(close, before) / reach, close


@st.composite
def markets(draw: st.DrawFn, min_size: int = 0, max_size: int = 60) -> Market:
    """Draw high, low, close on a grid of ticks: ties and flat stretches are common, low <= close <= high."""
    size = draw(st.integers(min_size, max_size))
    ticks = st.integers(1, 40)
    close = draw(arrays(np.int64, size, elements=ticks))
    above = draw(arrays(np.int64, size, elements=st.integers(0, 5)))
    below = draw(arrays(np.int64, size, elements=st.integers(0, 5)))
    tick = draw(st.sampled_from([1e-8, 0.01, 0.1, 1.0, 250.0]))
    return (close + above) * tick, np.maximum(close - below, 1) * tick, close * tick
