"""Indicators that look ahead are refused, and honest ones are not."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tests.tickloom.strategy.worlds import FREE, HOUR_US
from tickloom.kernel import F64
from tickloom.strategy.engine import Engine
from tickloom.strategy.feed import Bars, Trade
from tickloom.strategy.lookahead import LooksAhead, check, poisoned
from tickloom.strategy.strategy import Context, Strategy

Indicator = Callable[[Bars], F64]


def walk(n: int, seed: int = 1) -> Bars:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.005, n)))
    opened = np.r_[100.0, close[:-1]]
    ts = np.arange(n, dtype=np.int64) * HOUR_US
    flows = rng.exponential(5.0, n), rng.exponential(0.5, n)
    return Bars(opened, np.maximum(opened, close), np.minimum(opened, close), close, ts, ts + HOUR_US, *flows)


def labelled_by_its_start(size: int, offset: int = 0) -> Indicator:
    """The close of each run of bars, known from its first bar on: what resampling to days gives without a thought."""

    def closes(bars: Bars) -> F64:
        last = (np.arange(bars.n_bars) + offset) // size * size + size - 1 - offset
        return bars.close[np.minimum(last, bars.n_bars - 1)]

    return closes


LEAKS: dict[str, Indicator] = {
    "the next close": lambda b: np.r_[b.close[1:], 0.0],
    "the mean of all": lambda b: b.close - b.close.mean(),
    "a share of the highest of all": lambda b: (b.high > 0.5 * b.high.max()).astype(float),
    "not above a multiple of the lowest of all": lambda b: (b.low < 2.0 * b.low.min()).astype(float),
    "gaps filled backwards": lambda b: pd.Series(b.close).rolling(5).mean().bfill().to_numpy(),
    "a centred mean": lambda b: pd.Series(b.close).rolling(5, center=True, min_periods=1).mean().to_numpy(),
    "the volume to come": lambda b: np.cumsum(b.volume[::-1])[::-1],
    "the volatility to come": lambda b: np.r_[b.volatility[1:], 1.0],
    "the end of the data": lambda b: np.linspace(0.0, 1.0, b.n_bars),
}

HONEST: dict[str, Indicator] = {
    "the close": lambda b: b.close,
    "a rolling mean": lambda b: pd.Series(b.close).rolling(20).mean().to_numpy(),
    "an exponential mean": lambda b: pd.Series(b.close).ewm(span=20).mean().to_numpy(),
    "the highest so far": lambda b: np.maximum.accumulate(b.high),
    "a sum of volume": lambda b: np.cumsum(b.volume * b.close),
    "a convolution": lambda b: np.convolve(b.close, np.ones(7) / 7)[: b.n_bars],
    "the day before": lambda b: b.close[np.maximum(np.arange(b.n_bars) // 24 * 24 - 1, 0)],
}


def indicate(function: Indicator, bars: Bars) -> None:
    class Looks(Strategy):
        def on_start(self, ctx: Context) -> None:
            ctx.indicator(function)

    Engine(Looks(), bars, FREE).run()


@pytest.mark.parametrize("n", [40, 720, 999])
@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_what_looks_ahead_is_refused(leak: Indicator, n: int) -> None:
    with pytest.raises(LooksAhead, match="its past changes with"):
        indicate(leak, walk(n))


@pytest.mark.parametrize("size", [2, 3, 7, 24, 60])
@pytest.mark.parametrize("n", [720, 721, 840, 1000])
def test_a_run_of_bars_labelled_by_its_start_is_refused_on_whatever_grid(size: int, n: int) -> None:
    for offset in range(size):
        with pytest.raises(LooksAhead):
            indicate(labelled_by_its_start(size, offset), walk(n))


@pytest.mark.parametrize("n", [30, 31, 720, 1000])
@pytest.mark.parametrize("honest", HONEST.values(), ids=HONEST)
def test_what_does_not_look_ahead_passes(honest: Indicator, n: int) -> None:
    indicate(honest, walk(n))


@pytest.mark.parametrize("n", range(1, 8))
def test_the_next_close_is_refused_from_two_bars_on(n: int) -> None:
    bars = walk(n)
    values = np.r_[bars.close[1:], 0.0]
    if n == 1:
        check(lambda b: np.r_[b.close[1:], 0.0], bars, values)
        return
    with pytest.raises(LooksAhead):
        check(lambda b: np.r_[b.close[1:], 0.0], bars, values)


def test_a_poisoned_future_leaves_the_past_and_its_trades() -> None:
    trades = tuple((Trade(k, 100.0 + k, 1.0, 1),) for k in range(5))
    bars = walk(5)
    bars = Bars(bars.open, bars.high, bars.low, bars.close, bars.ts_open, bars.ts_close, trades=trades)
    other = poisoned(bars, 2, 16.0)
    assert other.close.tolist() == [*bars.close[:2], *(16.0 * bars.close[2:])]
    assert [*other.trades] == [*trades[:2], trades[0], trades[0], trades[0]]
    assert other.volume.size == 0


def test_an_indicator_of_the_trades_to_come_is_refused() -> None:
    bars = walk(60)
    trades = tuple((Trade(k, 100.0 + k, 1.0, 1),) for k in range(60))
    bars = Bars(bars.open, bars.high, bars.low, bars.close, bars.ts_open, bars.ts_close, trades=trades)
    with pytest.raises(LooksAhead):
        indicate(lambda b: np.r_[[within[0].price for within in b.trades[1:]], 0.0], bars)
    indicate(lambda b: np.array([within[0].price for within in b.trades]), bars)
