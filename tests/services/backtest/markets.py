"""Markets and signals for the tests, drawn by Hypothesis.

Prices are multiples of 1/8 and rates of 1/1024, so that a stop price has no rounding: whether a low reaches it is then
the same question in floats and in fractions.
"""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log, nan, sqrt

import numpy as np
from hypothesis import strategies as st

from services.backtest.adapters.tables import REASONS
from services.backtest.domain.prices import checked_flow, checked_prices, with_stop_unit
from services.backtest.kernels.engine import run_full
from services.backtest.kernels.types import Curve, Outcome, Prices, Signal, Trades
from tests.naive import backtest as naive
from tickloom.kernel import F64, I8, I64
from tickloom.strategy.rules import (
    BY_FRACTION,
    BY_NOTIONAL,
    BY_RISK,
    BY_VOLATILITY,
    NO_IMPACT,
    SQUARE_ROOT,
    VOLUME_SHARE,
    Rules,
)

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
    volume: F64 | None = None
    unit: F64 | None = None

    def prices(self) -> Prices:
        prices = checked_prices("TEST", self.open, self.high, self.low, self.close, self.ts_close)
        prices = with_stop_unit(prices, self.unit)
        return prices if self.volume is None else checked_flow("TEST", prices, self.volume, 8)

    def head(self, n_bars: int) -> "Market":
        return replace(
            self, **{n: v[:n_bars] for n in self.__dataclass_fields__ if (v := getattr(self, n)) is not None}
        )

    def with_prices(self, scale: float, base: float = 0.0) -> "Market":
        """Every price p becomes base + scale * p; a negative scale turns highs into lows."""
        high, low = (self.high, self.low) if scale > 0 else (self.low, self.high)
        o, h, low, c = (base + scale * x for x in (self.open, high, low, self.close))
        unit = None if self.unit is None else abs(scale) * self.unit
        return replace(self, open=o, high=h, low=low, close=c, unit=unit)

    def mirrored(self) -> "Market":
        """Longs become shorts and shorts longs."""
        return replace(self, signal=((self.signal & 3) << 2 | (self.signal & 12) >> 2).astype(np.int8))


def columns_of(n: int, values: Iterable[float]) -> st.SearchStrategy[F64]:
    """Draw (n,) of `values` as one string of bytes: a draw for each would cost more than what is tested with them.

    Columns shrink towards the first value.
    """
    known = np.array(list(values), np.float64)
    return st.binary(min_size=2 * n, max_size=2 * n).map(lambda drawn: known[np.frombuffer(drawn, ">u2") % known.size])


@st.composite
def markets(draw: st.DrawFn, max_bars: int = 40, masks: Sequence[int] = (0, 0, 0, *range(16))) -> Market:
    n = draw(st.integers(1, max_bars))
    step = draw(st.sampled_from([1, 8, 40]))  # with few prices, levels are met to the last bit
    eighths, wicks = range(600, 1001, step), range(0, 81, step)
    open_, close = (draw(columns_of(n, eighths)) / 8 for _ in range(2))
    high = np.maximum(open_, close) + draw(columns_of(n, wicks)) / 8
    low = np.minimum(open_, close) - draw(columns_of(n, wicks)) / 8
    ts_close = START_US + np.cumsum(draw(columns_of(n, range(41)))).astype(np.int64) * 3_600_000_000
    signal = draw(columns_of(n, masks)).astype(np.int8)
    return Market(open_, high, low, close, ts_close, signal)


@st.composite
def account_rules(draw: st.DrawFn, *, costs: bool = True, stops: bool = True) -> Rules:
    rate = st.integers(0, 8).map(lambda k: k / 1024) if costs else st.just(0.0)
    stop = st.sampled_from([0.0, 1 / 1024, 1 / 64, 1 / 16]) if stops else st.just(0.0)
    fraction = draw(st.sampled_from([1.0, 0.5, 0.125]))
    return Rules(10_000.0, fraction, draw(rate), draw(rate), draw(stop))


def changes(mask: I8) -> Signal:
    """The masks of every bar as the changes that the engine reads."""
    bar = np.flatnonzero(np.diff(mask, prepend=np.int8(0)))
    return Signal(bar, mask[bar])


def run(market: Market, rules: Rules) -> tuple[Outcome, F64, Curve, Trades]:
    return run_full(market.prices(), changes(market.signal), rules)


@st.composite
def venue_rules(draw: st.DrawFn) -> Rules:
    """Account rules with everything that a venue and an order can add to them."""
    sixteenths = st.sampled_from([0.0, 1 / 64, 1 / 16])
    sizing, size = draw(
        st.sampled_from(
            [(BY_FRACTION, 1.0), (BY_FRACTION, 0.5), (BY_NOTIONAL, 4_000.0), (BY_VOLATILITY, 0.5), (BY_RISK, 1 / 64)]
        )
    )
    rules = draw(account_rules())._replace(sizing=sizing, fraction=size)
    if multiple := draw(st.sampled_from([0.0, 0.0, 0.5, 2.0])):
        rules = rules._replace(stop_loss_rate=0.0, stop_multiple=multiple)
    elif sizing == BY_RISK:
        rules = rules._replace(stop_loss_rate=1 / 32)
    limit = draw(st.sampled_from([0, 0, 1, 3]))
    leverage = draw(st.sampled_from([1.0, 1.0, 4.0]))
    kept = [1 / 128, 1 / 16] if leverage > 1 else [0.0, 1 / 16]
    return rules._replace(
        take_profit_rate=draw(sixteenths), trailing_rate=draw(sixteenths),
        maker_rate=draw(st.sampled_from([0.0, 1 / 2048])),
        limit_bars=limit, limit_rate=draw(st.sampled_from([0.0, 1 / 128, 1 / 32])) if limit else 0.0,
        lot_step=draw(st.sampled_from([0.0, 0.25, 3.0])), min_notional=draw(st.sampled_from([0.0, 3_900.0])),
        leverage=leverage, maintenance_rate=draw(st.sampled_from(kept)),
        impact_kind=draw(st.sampled_from([NO_IMPACT, VOLUME_SHARE, SQUARE_ROOT])), impact=0.25, impact_cap=1 / 16,
    )  # fmt: skip


@st.composite
def busy_markets(draw: st.DrawFn) -> Market:
    """Markets with volume, some bars without any, and with a unit of the stop's distance, not known everywhere."""
    market = draw(markets())
    n = market.close.size
    volume = draw(columns_of(n, range(201)))
    return replace(market, volume=volume, unit=draw(columns_of(n, (nan, 0.0, 0.25, 1.0, 4.0, 150.0))))


def run_naively(market: Market, rules: Rules) -> naive.Account:
    bars = list(
        zip(market.open.tolist(), market.high.tolist(), market.low.tolist(), market.close.tolist(), strict=True)
    )
    volume = None if market.volume is None else market.volume.tolist()
    years = [ts / (365 * 86_400_000_000) for ts in market.ts_close.tolist()]
    span = [0.0, *(b - a for a, b in pairwise(market.ts_close.tolist()))]
    volatility = volatility_naively(market.close.tolist(), years, 8)
    # Impact puts a square into each fill, and every trade squares the last one's fraction: its length doubles.
    with naive.decimals() if rules.impact_kind else nullcontext():
        return naive.run(
            bars, market.signal.tolist(), rules._asdict(),
            volume=volume, volatility=volatility, span=[us / (365 * 86_400_000_000) for us in span],
            unit=None if market.unit is None else market.unit.tolist(),
        )  # fmt: skip


def assert_equals_twin(market: Market, rules: Rules, atol: float) -> None:
    """The engine makes the twin's trades at the same bars, to 1e-9 of every amount; `atol` is of one trade's money."""
    outcome, _, curve, trades = run(market, rules)
    twin = run_naively(market, rules)
    for name in ("entry_bar", "exit_bar", "side"):
        assert getattr(trades, name).tolist() == [t[name] for t in twin.trades], name
    assert [REASONS[r] for r in trades.reason.tolist()] == [t["reason"] for t in twin.trades]
    for name in ("quantity", "entry_fill", "fees", "pnl"):
        expected = [float(t[name]) for t in twin.trades]
        np.testing.assert_allclose(getattr(trades, name), expected, rtol=1e-9, atol=atol, err_msg=name)
    exits = [nan if t["exit_fill"] is None else float(t["exit_fill"]) for t in twin.trades]
    np.testing.assert_allclose(trades.exit_fill, exits, rtol=1e-9)
    for k, name in enumerate(("cash", "position", "equity")):
        expected = [float(row[k]) for row in twin.curve]
        np.testing.assert_allclose(getattr(curve, name), expected, rtol=1e-9, atol=10 * atol, err_msg=name)
    assert outcome.equity == curve.equity[-1]


def volatility_naively(close: list[float], years: list[float], window: int) -> list[float]:
    """Movement a year of the last `window` bars, NaN where no time has passed."""
    found = []
    for i in range(len(close)):
        first = max(i - window, 0)
        squares = sum(log(close[k] / close[k - 1]) ** 2 for k in range(first + 1, i + 1))
        elapsed = years[i] - years[first]
        found.append(sqrt(squares / elapsed) if elapsed > 0 else nan)
    return found


FREE = Rules(10_000.0, 1.0, 0.0, 0.0, 0.0)
"""Full capital, no costs, no stop."""
