"""C6: the compiled engine of grids and the event-driven one fill the same, to the last bit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.backtest.adapters.tables import REASONS
from services.backtest.domain.prices import yearly_volatility
from services.backtest.kernels.types import AT_LIMIT, INSIDE, OPEN, Curve, Outcome, Trades
from tests.services.backtest.markets import START_US, Market, run
from tests.services.backtest.paths import Traded, of_paths, run_traded
from tickloom.strategy.engine import Engine, Result
from tickloom.strategy.feed import Bars, Trade
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
from tickloom.strategy.signals import FollowSignals


def random_market(rng: np.random.Generator) -> Market:
    """Bars with gaps between them, some without volume, and masks that say something now and then."""
    n = int(rng.integers(20, 160))
    open_ = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    close = open_ * np.exp(rng.normal(0, 0.02, n))
    high = np.maximum(open_, close) * (1 + rng.exponential(0.01, n))
    low = np.minimum(open_, close) * (1 - rng.exponential(0.01, n).clip(0, 0.5))
    ts_close = START_US + np.cumsum(rng.integers(1, 4, n)) * 3_600_000_000
    signal = np.where(rng.random(n) < rng.choice([0.2, 0.6]), rng.integers(0, 16, n), 0).astype(np.int8)
    volume = np.where(rng.random(n) < 0.9, rng.exponential(500.0, n), 0.0)
    unit = np.where(rng.random(n) < 0.8, rng.exponential(2.0, n), rng.choice([np.nan, 0.0], n))
    return Market(open_, high, low, close, ts_close, signal, volume, unit)


def random_rules(rng: np.random.Generator) -> Rules:
    """Every option, alone and together."""

    def maybe(*values: float) -> float:
        return float(rng.choice([0.0, *values]))

    sizings = [(BY_FRACTION, 1.0), (BY_FRACTION, 0.3), (BY_NOTIONAL, 3e3), (BY_VOLATILITY, 0.4), (BY_RISK, 0.01)]
    sizing, size = sizings[int(rng.integers(len(sizings)))]
    limit_bars, leverage = int(rng.choice([0, 0, 1, 2, 5])), float(rng.choice([1.0, 1.0, 10.0, 25.0]))
    multiple = maybe(0.5, 2.0, 60.0)
    stop = 0.0 if multiple else 0.02 if sizing == BY_RISK else maybe(0.005, 0.03)
    return Rules(
        10_000.0, size, maybe(0.001), maybe(0.0005, 0.01), stop,
        take_profit_rate=maybe(0.01, 0.05), trailing_rate=maybe(0.01, 0.04), maker_rate=maybe(0.0002),
        limit_rate=maybe(0.003, 0.02) if limit_bars else 0.0, limit_bars=limit_bars, lot_step=maybe(0.1, 5.0),
        min_notional=maybe(2_900.0), leverage=leverage,
        maintenance_rate=float(rng.choice([0.005, 0.03])) if leverage > 1 else maybe(0.05),
        sizing=sizing, impact_kind=int(rng.choice([NO_IMPACT, VOLUME_SHARE, SQUARE_ROOT])), impact=0.3, impact_cap=0.05,
        stop_multiple=multiple,
    )  # fmt: skip


def bars_of(market: Market) -> Bars:
    volume = np.empty(0) if market.volume is None else market.volume
    opens = np.r_[market.ts_close[:1] - 3_600_000_000, market.ts_close[:-1]]
    volatility = yearly_volatility(market.close, market.ts_close, 8)
    return Bars(market.open, market.high, market.low, market.close, opens, market.ts_close, volume, volatility)


def followed(market: Market, rules: Rules, **inside: Any) -> Result:
    return Engine(FollowSignals(market.signal, rules, market.unit), replace(bars_of(market), **inside), rules).run()


def random_paths(rng: np.random.Generator, market: Market) -> Traded:
    """Up to a dozen trades in each bar, on a grid so coarse that some fall on one price."""
    paths, price = [], 100.0
    for _ in range(market.close.size):
        steps = rng.normal(0, rng.choice([0.002, 0.02]), int(rng.integers(1, 12)))
        path = np.round(price * np.exp(np.cumsum(steps)), 1).clip(5.0)
        paths.append(path.tolist())
        price = path[-1]
    return of_paths(market, paths)


def fills_of(trades: Trades) -> tuple[list[tuple[Any, ...]], list[str]]:
    """The fills of the compiled engine in their order, and what its exits are called."""
    fills, tags = [], []
    for k in range(trades.side.size):
        side, quantity = int(trades.side[k]), trades.quantity[k]
        is_maker = trades.kind[k] in (AT_LIMIT, INSIDE)
        fills.append((trades.entry_bar[k], side, quantity, trades.entry_fill[k], is_maker))
        if trades.reason[k] != OPEN:
            tags.append(REASONS[int(trades.reason[k])])
            fills.append((trades.exit_bar[k], -side, quantity, trades.exit_fill[k], tags[-1] == "target"))
    return fills, tags


def check_alike(found: Result, outcome: Outcome, curve: Curve, trades: Trades, what: str) -> None:
    """Every fill, the curve and the account at the end are the same to the last bit."""
    expected, tags = fills_of(trades)
    assert [(f.bar, f.side, f.quantity, f.price, f.is_maker) for f in found.fills] == expected, what
    assert [f.tag for f in found.fills if f.order.reduce_only] == tags, what
    np.testing.assert_array_equal(found.performance.equity, curve.equity)
    assert (found.portfolio.cash, found.portfolio.position) == (outcome.cash, outcome.position)
    assert len(found.performance.trips) == trades.side.size
    np.testing.assert_allclose([t.pnl for t in found.performance.trips], trades.pnl, atol=1e-6)


@pytest.mark.parametrize("block", range(5))
def test_c6_five_hundred_random_strategies_fill_alike_in_both_engines(block: int) -> None:
    n_fills, reasons = 0, set()
    for seed in range(100 * block, 100 * block + 100):
        rng = np.random.default_rng(seed)
        market, rules = random_market(rng), random_rules(rng)
        outcome, _, curve, trades = run(market, rules)
        check_alike(followed(market, rules), outcome, curve, trades, f"seed {seed}: {rules}")
        n_fills += len(fills_of(trades)[0])
        reasons.update(fills_of(trades)[1])
    assert n_fills > 500
    assert reasons == {"signal", "stop", "target", "trailing_stop", "liquidation"}


@pytest.mark.parametrize("block", range(5))
def test_c6_five_hundred_random_strategies_fill_alike_with_the_trades_of_the_bars(block: int) -> None:
    """The compiled engine opens the bars that it needs; the event-driven one walks through all of them."""
    n_opened, n_exits, reasons = 0, 0, set()
    for seed in range(100 * block, 100 * block + 100):
        rng = np.random.default_rng(10_000 + seed)
        traded, rules, fills = random_paths(rng, random_market(rng)), random_rules(rng), bool(rng.integers(2))
        outcome, _, curve, trades = run_traded(traded, rules, fills=fills)
        found = followed(traded.market, rules, inside=traded.paths, inside_fills=fills)
        check_alike(found, outcome, curve, trades, f"seed {seed}, fills {fills}: {rules}")
        n_opened, n_exits = n_opened + outcome.n_by_trades, n_exits + int((trades.exit_trade >= 0).sum())
        reasons.update(REASONS[int(r)] for r in trades.reason[trades.exit_trade >= 0])
        assert outcome.n_by_guess == 0
    assert n_opened > n_exits > 50
    assert reasons >= {"stop", "target", "trailing_stop"}


def played(bars: Bars, paths: tuple[list[float], ...]) -> tuple[tuple[Trade, ...], ...]:
    """The trades of each bar, for an engine that plays them."""
    return tuple(
        tuple(Trade(int(ts), price, 1.0, 1) for price in path) for ts, path in zip(bars.ts_open, paths, strict=True)
    )


def test_c6_random_strategies_fill_alike_by_trades_whether_bars_are_opened_or_trades_are_played() -> None:
    """`inside_bar: fills` of the grid is what an engine does that is played every trade: resting limits included."""
    n_gaps = 0
    for seed in range(200):
        rng = np.random.default_rng(20_000 + seed)
        traded, rules = random_paths(rng, random_market(rng)), random_rules(rng)
        outcome, _, curve, trades = run_traded(traded, rules, fills=True)
        bars = bars_of(traded.market)
        found = followed(traded.market, rules, trades=played(bars, traded.paths))
        check_alike(found, outcome, curve, trades, f"seed {seed}: {rules}")
        rested = [(f.bar, f.price) for f in found.fills if f.is_maker]
        n_gaps += sum(not bars.low[bar] <= price <= bars.high[bar] for bar, price in rested)
    assert n_gaps > 20  # fills at limits that the price jumped over
