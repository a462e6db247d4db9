"""Portfolios for the tests, drawn by Hypothesis: symbols with bars at times of their own, signals, rules, limits."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from services.backtest.domain.prices import checked_prices
from services.backtest.domain.timeline import merged
from services.backtest.kernels.portfolio import PortfolioRun, run_portfolio
from services.backtest.kernels.portfolio_types import EQUAL, Markets, Plan
from tests.naive import portfolio as naive
from tests.services.backtest.markets import columns_of
from tickloom.kernel import F64, I8, I64
from tickloom.strategy.rules import Rules

HOUR_US = 3_600_000_000
START_US = 1_700_006_400_000_000 // (24 * HOUR_US) * 24 * HOUR_US
WEIGHTINGS = ("equal", "inverse_volatility", "volatility_target")
ON_SIGNAL = ("none", "changed", "all")
FREE = Rules(10_000.0, 1.0, 0.0, 0.0, 0.0)
WHOLE = Plan(EQUAL, 1.0, 2, 0, 0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0)
"""Equal weights, rebalanced when any signal changes, no limit but that nothing is borrowed."""


@dataclass(frozen=True)
class Symbol:
    """One symbol's bars and signal, arrays (n_bars,)."""

    ts_open: I64
    ts_close: I64
    open: F64
    high: F64
    low: F64
    close: F64
    mask: I8
    volatility: F64

    def until(self, ts: int) -> "Symbol":
        """Return what is known at `ts`: bars that have closed, and the open of the one under way."""
        opened = np.maximum(self.ts_open, np.concatenate([self.ts_open[:1], self.ts_close[:-1]]))
        n = int((np.minimum(opened, self.ts_close) <= ts).sum())
        cut = replace(self, **{name: getattr(self, name)[:n].copy() for name in self.__dataclass_fields__})
        later = cut.ts_close > ts
        cut.close[later], cut.volatility[later], cut.mask[later] = 1e6, 9.0, 15
        cut.high[later], cut.low[later] = 1e6, 1e-6
        return cut


def symbol(
    open_: list[float], close: list[float], mask: list[int], hours: list[int] | None = None,
    reach: dict[int, float] | None = None,
) -> Symbol:  # fmt: skip
    """Return a symbol with hourly bars; `hours` are those at which they close, `reach` how far some go inside."""
    n = len(close)
    high, low = np.maximum(open_, close).astype(float), np.minimum(open_, close).astype(float)
    for k, price in (reach or {}).items():
        high[k], low[k] = max(high[k], price), min(low[k], price)
    ends = START_US + np.array(hours or range(1, n + 1), np.int64) * HOUR_US
    return Symbol(
        ends - HOUR_US,
        ends,
        np.array(open_, float),
        high,
        low,
        np.array(close, float),
        np.array(mask, np.int8),
        np.full(n, 0.5),
    )


def markets_of(symbols: list[Symbol]) -> Markets:
    prices = []
    for one in symbols:
        bars = checked_prices("TEST", one.open, one.high, one.low, one.close, one.ts_close)
        prices.append(bars._replace(volatility=one.volatility))
    return merged(prices, [one.ts_open for one in symbols], read_volatility=True, warm_up=0)


def run(symbols: list[Symbol], rules: Rules = FREE, plan: Plan = WHOLE) -> PortfolioRun:
    masks = np.concatenate([one.mask for one in symbols])
    return run_portfolio(markets_of(symbols), masks, rules, plan, len(symbols), keep=True)


def run_naively(symbols: list[Symbol], rules: Rules, plan: Plan) -> naive.Twin:
    names = ("ts_open", "ts_close", "open", "close", "high", "low")
    given = [
        {
            "bars": list(zip(*(getattr(one, name).tolist() for name in names), strict=True)),
            "masks": one.mask.tolist(),
            "volatility": one.volatility.tolist(),
        }
        for one in symbols
    ]  # fmt: skip
    words = plan._asdict() | {"weighting": WEIGHTINGS[plan.weighting], "on_signal": ON_SIGNAL[plan.on_signal]}
    return naive.Twin(given, rules._asdict(), words).run()


@st.composite
def symbols_of(draw: st.DrawFn, max_bars: int = 10) -> Symbol:
    """Bars of one to six hours with gaps, some of no duration; late listings; prices in eighths."""
    n = draw(st.integers(1, max_bars))
    gaps = draw(columns_of(n, (0, 0, 0, 6, 24))).astype(np.int64)
    spans = draw(columns_of(n, (6, 6, 6, 3, 0))).astype(np.int64)
    ts_close = START_US + (np.cumsum(gaps + spans) + draw(st.sampled_from([0, 6, 48]))) * HOUR_US
    volatility = draw(columns_of(n, (0.25, 0.5, 1.0, 2.0, np.nan)))
    masks = draw(columns_of(n, (0, 0, 1, 1, 2, 4, 6, 8, 9, 15))).astype(np.int8)
    open_, close = (draw(columns_of(n, range(400, 1201))) / 8 for _ in range(2))
    up, down = (draw(columns_of(n, (1.0, 1.0, 1.15, 2.35))) for _ in range(2))
    high, low = np.maximum(open_, close) * up, np.minimum(open_, close) / down
    return Symbol(ts_close - spans * HOUR_US, ts_close, open_, high, low, close, masks, volatility)


books = st.lists(symbols_of(), min_size=1, max_size=4)


@st.composite
def rules_of(draw: st.DrawFn) -> Rules:
    rate = st.integers(0, 8).map(lambda k: k / 1024)
    return FREE._replace(
        commission_rate=draw(rate), slippage_rate=draw(rate), lot_step=draw(st.sampled_from([0.0, 0.0, 0.25, 3.0])),
        min_notional=draw(st.sampled_from([0.0, 0.0, 500.0])), maintenance_rate=draw(st.sampled_from([0.0, 0.0, 0.25])),
    )  # fmt: skip


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    most = draw(st.sampled_from([1.0, 1.0, 2.0, 0.5]))
    return Plan(
        weighting=draw(st.integers(0, 2)), target=draw(st.sampled_from([0.5, 1.0])), on_signal=draw(st.integers(0, 2)),
        every_us=draw(st.sampled_from([0, 24 * HOUR_US, 6 * HOUR_US])), anchor_us=0,
        threshold=draw(st.sampled_from([0.0, 0.0, 1 / 32])), max_weight=draw(st.sampled_from([2.0, 1.0, 0.375])),
        floor_weight=draw(st.sampled_from([2.0, 0.25])), max_gross=most, max_net=draw(st.sampled_from([most, 0.25])),
        max_drawdown=draw(st.sampled_from([0.0, 0.125])), max_daily_loss=draw(st.sampled_from([0.0, 0.0625])),
        cooldown_us=draw(st.sampled_from([0, 12 * HOUR_US])),
    )  # fmt: skip
