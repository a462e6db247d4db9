"""Markets and signals for the tests, drawn by Hypothesis.

Prices are multiples of 1/8 and rates of 1/1024, so that a stop price has no rounding: whether a low reaches it is then
the same question in floats and in fractions.
"""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from services.backtest.domain.prices import checked_prices
from services.backtest.kernels.engine import run_full
from services.backtest.kernels.types import Curve, Outcome, Prices, Rules, Trades
from tests.naive import backtest as naive
from tickloom.kernel import F64, I8, I64

START_US = 1_700_000_000_000_000


@dataclass(frozen=True)
class Market:
    """Bars and the signal over them."""

    open: F64
    high: F64
    low: F64
    close: F64
    ts_close: I64
    signal: I8

    def prices(self) -> Prices:
        return checked_prices("TEST", self.open, self.high, self.low, self.close, self.ts_close)

    def head(self, n_bars: int) -> "Market":
        return replace(self, **{name: getattr(self, name)[:n_bars] for name in self.__dataclass_fields__})

    def with_prices(self, scale: float, base: float = 0.0) -> "Market":
        """Every price p becomes base + scale * p; a negative scale turns highs into lows."""
        high, low = (self.high, self.low) if scale > 0 else (self.low, self.high)
        o, h, low, c = (base + scale * x for x in (self.open, high, low, self.close))
        return replace(self, open=o, high=h, low=low, close=c)

    def mirrored(self) -> "Market":
        """Longs become shorts and shorts longs."""
        return replace(self, signal=((self.signal & 3) << 2 | (self.signal & 12) >> 2).astype(np.int8))


@st.composite
def markets(draw: st.DrawFn, max_bars: int = 40, masks: st.SearchStrategy[int] | None = None) -> Market:
    n = draw(st.integers(1, max_bars))
    eighths = st.lists(st.integers(600, 1000), min_size=n, max_size=n)
    open_, close = (np.array(draw(eighths)) / 8 for _ in range(2))
    wicks = st.lists(st.integers(0, 80), min_size=n, max_size=n)
    high = np.maximum(open_, close) + np.array(draw(wicks)) / 8
    low = np.minimum(open_, close) - np.array(draw(wicks)) / 8
    hours = np.array(draw(st.lists(st.integers(0, 40), min_size=n, max_size=n)), np.int64)
    ts_close = START_US + np.cumsum(hours) * 3_600_000_000
    quiet = masks if masks is not None else st.sampled_from([0, 0, 0, *range(16)])
    signal = np.array(draw(st.lists(quiet, min_size=n, max_size=n)), np.int8)
    return Market(open_, high, low, close, ts_close, signal)


@st.composite
def account_rules(draw: st.DrawFn, *, costs: bool = True, stops: bool = True) -> Rules:
    rate = st.integers(0, 8).map(lambda k: k / 1024) if costs else st.just(0.0)
    stop = st.sampled_from([0.0, 1 / 1024, 1 / 64, 1 / 16]) if stops else st.just(0.0)
    fraction = draw(st.sampled_from([1.0, 0.5, 0.125]))
    return Rules(10_000.0, fraction, draw(rate), draw(rate), draw(stop))


def run(market: Market, rules: Rules) -> tuple[Outcome, F64, Curve, Trades]:
    return run_full(market.prices(), market.signal, rules)


def run_naively(market: Market, rules: Rules) -> naive.Account:
    bars = list(
        zip(market.open.tolist(), market.high.tolist(), market.low.tolist(), market.close.tolist(), strict=True)
    )
    return naive.run(bars, market.signal.tolist(), rules._asdict())


FREE = Rules(10_000.0, 1.0, 0.0, 0.0, 0.0)
"""Full capital, no costs, no stop."""
