"""The grid that its users know, over real bars: BTCUSDT 15 minutes of 2023, 8 x 8 windows, pinned."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from services.backtest.domain.latency import masks_of
from services.backtest.domain.metrics import Metrics, buy_and_hold_return, metrics
from services.backtest.domain.prices import checked_prices
from services.backtest.domain.selection import best_trial
from services.backtest.kernels.engine import run_full, run_summary
from services.backtest.kernels.types import OPEN, Prices, Signal
from services.features.kernels.ema import ema
from services.features.kernels.rolling import sma
from services.signals.domain.rules import Rules as SignalRules
from tests.naive import backtest as naive
from tests.services.backtest.markets import changes
from tickloom.contracts.signals import SignalsRequest
from tickloom.kernel import I8
from tickloom.rules.grid import combinations
from tickloom.strategy.rules import Rules

FAST, SLOW = [5, 8, 10, 12, 15, 20, 25, 30], [40, 50, 60, 80, 100, 120, 150, 200]
RULES = Rules(initial_cash=10_000.0, fraction=1.0, commission_rate=0.001, slippage_rate=0.0005, stop_loss_rate=0.02)
REQUEST = SignalsRequest.model_validate(
    {
        "long_entry": "sma_{fast} > sma_{slow} AND close > ema_200 AND (sma_{fast} - sma_{slow}) / close >= 0.001",
        "long_exit": "sma_{fast} < sma_{slow}",
        "parameters": {"fast": FAST, "slow": SLOW},
    }
)


@pytest.fixture(scope="module")
def prices(shared_data: Path) -> Prices:
    path = shared_data / "klines" / "binance_spot" / "BTC_USDT-15m-2023.feather"
    if not path.exists():
        pytest.skip(f"NO REAL DATA: {path} is missing")
    bars = pd.read_feather(path)
    ts_open = bars["date"].astype("datetime64[us, UTC]").astype(np.int64).to_numpy()
    columns = [bars[name].to_numpy(np.float64) for name in ("open", "high", "low", "close")]
    return checked_prices("BTCUSDT", *columns, ts_open + 900_000_000)


@pytest.fixture(scope="module")
def masks(prices: Prices) -> list[I8]:
    columns = {"close": prices.close, "ema_200": ema(prices.close, 200)}
    columns |= {f"sma_{n}": sma(prices.close, n) for n in FAST + SLOW}
    found = SignalRules.of(REQUEST).changes(combinations(REQUEST.parameters), columns, prices.close.size)
    return [masks_of(Signal(*each), prices.close.size) for each in found]


@pytest.fixture(scope="module")
def trials(prices: Prices, masks: list[I8]) -> list[Metrics]:
    benchmark = buy_and_hold_return(prices, RULES)
    return [metrics(prices, RULES, *run_summary(prices, changes(mask), RULES), benchmark) for mask in masks]


def test_the_signals_are_those_of_plain_numpy(prices: Prices, masks: list[I8]) -> None:
    fast, slow, trend = sma(prices.close, 12), sma(prices.close, 80), ema(prices.close, 200)
    with np.errstate(invalid="ignore"):
        rule = (fast > slow) & (prices.close > trend) & ((fast - slow) / prices.close >= 0.001)
    # The rule is false, not unknown, as soon as one of its parts is known to be.
    entry = rule & ~np.r_[True, rule[:-1]]
    k = FAST.index(12) * 8 + SLOW.index(80)
    np.testing.assert_array_equal(masks[k] & 1, entry)
    np.testing.assert_array_equal(masks[k] & 2, 2 * (fast < slow))


def test_the_grid_of_64_is_pinned(trials: list[Metrics]) -> None:
    """These numbers change only with a line that says why in docs/backtest.md."""
    assert len(trials) == 64
    best = best_trial([trial["sharpe_ratio"] for trial in trials])
    worst = min(range(64), key=lambda k: trials[k]["sharpe_ratio"] or 0.0)
    combos = combinations(REQUEST.parameters)
    assert (combos[best], combos[worst]) == ({"fast": 30, "slow": 150}, {"fast": 5, "slow": 40})
    assert (trials[best]["n_trades"], trials[worst]["n_trades"]) == (138, 477)
    assert sum(trial["n_trades"] for trial in trials) == 15643
    expected = {
        "total_return": 0.4053774025895973, "cagr": 0.4059514624321774, "sharpe_ratio": 1.1450099691872058,
        "sortino_ratio": 2.391387335347265, "calmar_ratio": 1.0982328201684357, "max_drawdown": -0.36964062171254064,
        "max_drawdown_duration": 288.625, "win_rate": 0.26277372262773724, "profit_factor": 1.2826357081717659,
        "exposure": 0.4651694382536145, "turnover": 276.92236218004905, "fees_paid": 3460.2022894282186,
        "final_equity": 14053.774025895973, "buy_and_hold_return": 1.566573871914867,
    }  # fmt: skip
    assert {name: trials[best][name] for name in expected} == pytest.approx(expected, rel=1e-12)  # type: ignore[literal-required]
    assert trials[best]["is_open"]
    assert trials[worst]["final_equity"] == pytest.approx(2916.6230683134245, rel=1e-12)
    assert trials[worst]["sharpe_ratio"] == pytest.approx(-3.741111373482953, rel=1e-12)


def test_the_best_trial_of_the_year_equals_the_twin_in_decimals(
    prices: Prices, masks: list[I8], trials: list[Metrics]
) -> None:
    best = best_trial([trial["sharpe_ratio"] for trial in trials])
    bars = list(zip(*(column.tolist() for column in prices[:4]), strict=True))
    with naive.decimals():
        twin = naive.run(bars, masks[best].tolist(), RULES._asdict())
    _, _, curve, trades = run_full(prices, changes(masks[best]), RULES)
    assert trades.entry_bar.tolist() == [trade["entry_bar"] for trade in twin.trades]
    assert trades.exit_bar.tolist() == [trade["exit_bar"] for trade in twin.trades]
    np.testing.assert_allclose(trades.pnl, [float(trade["pnl"]) for trade in twin.trades], rtol=1e-9)
    np.testing.assert_allclose(curve.equity, [float(row[2]) for row in twin.curve], rtol=1e-9)


def test_every_trial_keeps_its_books(prices: Prices, masks: list[I8]) -> None:
    for mask in masks[::7]:
        outcome, _, curve, trades = run_full(prices, changes(mask), RULES)
        assert (trades.exit_bar[trades.reason != OPEN] >= trades.entry_bar[trades.reason != OPEN]).all()
        assert trades.pnl.sum() == pytest.approx(outcome.equity - 10_000, abs=1e-6)
        np.testing.assert_array_equal(curve.cash + curve.position * prices.close, curve.equity)
