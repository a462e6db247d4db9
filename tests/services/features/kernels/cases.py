"""What the kernel tests share: every kernel under one signature, its slow twin, its TA-Lib twin, and prices to feed it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import talib
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.features.kernels.atr import atr
from services.features.kernels.bbands import bbands
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


def _line(index: int) -> Case:
    return Case(
        ("bbands_upper", "bbands_middle", "bbands_lower")[index],
        lambda h, l, c, n: bbands(c, n, 2.0, 1.5)[index],
        lambda h, l, c, n: naive.bbands(c.tolist(), n, 2.0, 1.5)[index],
        lambda h, l, c, n: talib.BBANDS(c, n, 2.0, 1.5)[index],
        lambda n: n - 1,
        least=2,
    )


def _talib_volatility(h: F64, l: F64, c: F64, n: int) -> F64:
    return talib.STDDEV(np.log(c / np.r_[np.nan, c[:-1]]), n, 1.0)


def _talib_zscore(h: F64, l: F64, c: F64, n: int) -> F64:
    return (c - talib.SMA(c, n)) / talib.STDDEV(c, n, 1.0)


CASES = [
    Case(
        "sma",
        lambda h, l, c, n: sma(c, n),
        lambda h, l, c, n: naive.sma(c.tolist(), n),
        lambda h, l, c, n: talib.SMA(c, n),
        lambda n: n - 1,
    ),
    Case(
        "ema",
        lambda h, l, c, n: ema(c, n),
        lambda h, l, c, n: naive.ema(c.tolist(), n),
        lambda h, l, c, n: talib.EMA(c, n),
        lambda n: n - 1,
    ),
    Case(
        "rsi",
        lambda h, l, c, n: rsi(c, n),
        lambda h, l, c, n: naive.rsi(c.tolist(), n),
        lambda h, l, c, n: talib.RSI(c, n),
        lambda n: n,
        power=0,
        least=2,
    ),
    Case(
        "atr",
        atr,
        lambda h, l, c, n: naive.atr(h.tolist(), l.tolist(), c.tolist(), n),
        talib.ATR,
        lambda n: n,
    ),
    _line(0),
    _line(1),
    _line(2),
    Case(
        "stddev",
        lambda h, l, c, n: moments(c, n)[1],
        lambda h, l, c, n: naive.stddev(c.tolist(), n),
        lambda h, l, c, n: talib.STDDEV(c, n, 1.0),
        lambda n: n - 1,
        least=2,
    ),
    Case(
        "zscore",
        lambda h, l, c, n: zscore(c, n),
        lambda h, l, c, n: naive.zscore(c.tolist(), n),
        _talib_zscore,
        lambda n: n - 1,
        power=0,
        least=2,
    ),
    Case(
        "mom",
        lambda h, l, c, n: mom(c, n),
        lambda h, l, c, n: naive.mom(c.tolist(), n),
        lambda h, l, c, n: talib.MOM(c, n),
        lambda n: n,
    ),
    Case(
        "log_return",
        lambda h, l, c, n: log_return(c, n),
        lambda h, l, c, n: naive.log_return(c.tolist(), n),
        lambda h, l, c, n: np.log1p(talib.ROCP(c, n)),
        lambda n: n,
        power=0,
    ),
    Case(
        "volatility",
        lambda h, l, c, n: volatility(c, n),
        lambda h, l, c, n: naive.volatility(c.tolist(), n),
        _talib_volatility,
        lambda n: n,
        power=0,
        least=2,
    ),
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
