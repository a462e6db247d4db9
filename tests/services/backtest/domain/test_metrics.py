"""Metrics against their definitions in fractions, against pandas, and where they are undefined."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from services.backtest.domain.metrics import Metrics, buy_and_hold_return, metrics
from services.backtest.domain.prices import BadPrices, checked_prices, utc_day
from services.backtest.domain.selection import best_trial
from services.backtest.kernels.engine import run_summary
from tests.naive import backtest as naive
from tests.services.backtest.markets import FREE, START_US, Market, account_rules, changes, markets, run, run_naively
from tickloom.strategy.rules import Rules

DAY_US = 86_400_000_000


def measured(market: Market, rules: Rules) -> Metrics:
    prices = market.prices()
    outcome, daily = run_summary(prices, changes(market.signal), rules)
    return metrics(prices, rules, outcome, daily, buy_and_hold_return(prices, rules))


def random_market(n: int = 3000, seed: int = 1) -> Market:
    """Bars at random times, some days without any."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0.0005, 0.01, n)))
    open_ = close * np.exp(rng.normal(0, 0.002, n))
    ts = START_US + np.cumsum(rng.integers(1, 2 * DAY_US // 3, n))
    signal = rng.choice(np.array([0, 1, 2, 4, 8, 6], np.int8), n)
    return Market(open_, np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998, close, ts, signal)


RULES = Rules(10_000.0, 0.5, 0.001, 0.0005, 0.02)


@settings(max_examples=200, deadline=None)
@given(market=markets(), rules=account_rules())
def test_metrics_equal_their_definitions_in_fractions(market: Market, rules: Rules) -> None:
    ours = measured(market, rules)
    twin = naive.metrics(run_naively(market, rules), market.ts_close.tolist(), rules.initial_cash)
    for name, expected in twin.items():
        got = ours[name]  # type: ignore[literal-required]
        if got is None or expected is None:
            # Fractions tell 1e-17 from zero, floats cannot: a ratio over such a deviation is undefined here.
            assert got is None, name
            assert expected is None or abs(expected) > 1e9, name
            continue
        assert got == pytest.approx(expected, rel=1e-7, abs=1e-9), name


def test_daily_ratios_and_drawdown_equal_pandas() -> None:
    market = random_market()
    ours = measured(market, RULES)
    _, _, curve, trades = run(market, RULES)
    equity = pd.Series(curve.equity, index=pd.to_datetime(market.ts_close - 1, unit="us", utc=True))
    returns = equity.resample("1D").last().ffill().pct_change().dropna()
    assert len(returns) > 300
    assert (returns == 0).any()
    assert ours["sharpe_ratio"] == pytest.approx(returns.mean() / returns.std() * math.sqrt(365), rel=1e-9)
    downside = math.sqrt((returns.clip(upper=0) ** 2).mean())
    assert ours["sortino_ratio"] == pytest.approx(returns.mean() / downside * math.sqrt(365), rel=1e-9)
    drawdown = equity / equity.cummax() - 1
    assert ours["max_drawdown"] == pytest.approx(drawdown.min(), rel=1e-12)
    years = (market.ts_close[-1] - market.ts_close[0]) / DAY_US / 365
    assert ours["cagr"] == pytest.approx((equity.iloc[-1] / 10_000) ** (1 / years) - 1, rel=1e-9)
    assert ours["calmar_ratio"] == pytest.approx(ours["cagr"] / -drawdown.min(), rel=1e-9)
    pnl = pd.Series(trades.pnl[trades.exit_bar >= 0])
    assert ours["win_rate"] == pytest.approx((pnl > 0).mean())
    assert ours["profit_factor"] == pytest.approx(pnl[pnl > 0].sum() / -pnl[pnl < 0].sum(), rel=1e-9)
    assert ours["n_trades"] == trades.side.size > 300
    traded = (trades.quantity * (trades.entry_fill + np.nan_to_num(trades.exit_fill))).sum()
    assert ours["turnover"] == pytest.approx(traded / equity.mean(), rel=1e-9)


def test_a_run_without_trades_has_no_ratios() -> None:
    market = random_market(200)
    ours = measured(Market(**{**vars(market), "signal": np.zeros(200, np.int8)}), RULES)
    undefined = ("sharpe_ratio", "sortino_ratio", "calmar_ratio", "win_rate", "profit_factor")
    assert all(ours[name] is None for name in undefined)  # type: ignore[literal-required]
    assert (ours["total_return"], ours["cagr"], ours["max_drawdown"], ours["exposure"], ours["turnover"]) == (
        0,
        0,
        0,
        0,
        0,
    )
    assert ours["max_drawdown_duration"] == 0
    assert ours["fees_paid"] == 0
    assert ours["final_equity"] == 10_000


def hourly(closes: list[float], signal: list[int], hours: int = 1) -> Market:
    price = np.array(closes)
    ts = np.arange(1, price.size + 1) * hours * 3_600_000_000
    return Market(price, price, price, price, ts, np.array(signal, np.int8))


def test_fewer_than_two_daily_returns_have_no_sharpe_ratio() -> None:
    two_days = measured(hourly([100, 100, 110, 120], [1, 0, 0, 0], hours=12), FREE)
    assert two_days["sharpe_ratio"] is None
    assert two_days["sortino_ratio"] is None
    three_days = measured(hourly([100, 100, 110, 120, 90, 90], [1, 0, 0, 0, 0, 0], hours=12), FREE)
    assert three_days["sharpe_ratio"] is not None


def test_no_losing_trade_has_no_profit_factor_and_no_winning_one_has_zero() -> None:
    assert measured(hourly([100, 100, 110, 110], [1, 2, 0, 0]), FREE)["profit_factor"] is None
    assert measured(hourly([100, 100, 90, 90], [1, 2, 0, 0]), FREE)["profit_factor"] == 0


def test_no_falling_day_has_a_sharpe_but_no_sortino_and_no_calmar_ratio() -> None:
    ours = measured(hourly([100, 100, 110, 120, 140], [1, 0, 0, 0, 0], hours=24), FREE)
    assert ours["sharpe_ratio"] is not None
    assert ours["sortino_ratio"] is None
    assert ours["calmar_ratio"] is None


def test_an_account_below_zero_has_no_ratios_and_no_cagr() -> None:
    ours = measured(hourly([100, 100, 300, 100, 100], [4, 0, 0, 0, 0], hours=24), FREE)
    assert ours["sharpe_ratio"] is None
    assert ours["max_drawdown"] == -2
    assert ours["final_equity"] == 10_000
    ruined = measured(hourly([100, 100, 300, 300], [4, 0, 0, 0], hours=24), FREE)
    assert ruined["cagr"] is None
    assert ruined["total_return"] == -2


def test_exposure_is_a_share_of_time_and_not_of_bars() -> None:
    market = hourly([100, 100, 100, 100], [1, 2, 0, 0])
    uneven = Market(**{**vars(market), "ts_close": np.array([0, 10, 20, 100]) + START_US})
    assert measured(market, FREE)["exposure"] == pytest.approx(1 / 3)
    assert measured(uneven, FREE)["exposure"] == pytest.approx(10 / 100)


def test_the_longest_drawdown_runs_from_the_peak_to_the_bar_that_regains_it() -> None:
    ours = measured(hourly([100, 100, 120, 110, 115, 120, 119], [1, 0, 0, 0, 0, 0, 0], hours=24), FREE)
    assert ours["max_drawdown_duration"] == 3
    assert ours["max_drawdown"] == pytest.approx(110 / 120 - 1)


def test_a_drawdown_that_the_exit_fill_regains_lasts_until_that_bar() -> None:
    market = hourly([100, 90, 100, 100], [1, 2, 0, 0], hours=24)
    gap = Market(**{**vars(market), "open": np.array([100.0, 100, 120, 100]), "high": np.full(4, 120.0)})
    assert measured(gap, FREE)["max_drawdown_duration"] == 2


def test_buy_and_hold_pays_the_costs_of_its_one_purchase() -> None:
    ours = measured(hourly([100, 100, 202], [0, 0, 0]), Rules(1.0, 0.25, 0.01, 0.0, 0.5))
    assert ours["buy_and_hold_return"] == pytest.approx(202 / 101 - 1)


def test_a_bar_that_closes_at_midnight_ends_the_day_before_it() -> None:
    assert utc_day(np.array([DAY_US - 1, DAY_US, DAY_US + 1])).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"close": [100.0, np.nan, 100.0]}, "close of bar 1"),
        ({"open": [100.0, 0.0, 100.0]}, "open of bar 1"),
        ({"high": [100.0, 99.0, 100.0]}, "bar 1 lies outside"),
        ({"ts_close": [1, 3, 2]}, "bar 2 closes before"),
    ],
)
def test_bars_that_cannot_be_traded_are_refused_by_name(change: dict[str, list[float]], reason: str) -> None:
    columns = {name: np.full(3, 100.0) for name in ("open", "high", "low", "close")} | {"ts_close": np.array([1, 2, 3])}
    columns |= {name: np.array(values) for name, values in change.items()}
    with pytest.raises(BadPrices, match=f"BTCUSDT: .*{reason}"):
        checked_prices("BTCUSDT", *(columns[n] for n in ("open", "high", "low", "close", "ts_close")))


def test_no_bars_at_all_are_refused_by_name() -> None:
    nothing = np.empty(0)
    with pytest.raises(BadPrices, match="no bar"):
        checked_prices("BTCUSDT", nothing, nothing, nothing, nothing, nothing.astype(np.int64))


@pytest.mark.parametrize(
    ("values", "best"),
    [([1.0, 3.0, 3.0], 1), ([None, -5.0, None], 1), ([None, None], 0), ([0.0, None], 0), ([-1.0, 0.0, None], 1)],
)
def test_the_best_trial_is_the_first_of_the_highest_and_undefined_is_below_all(
    values: list[float | None], best: int
) -> None:
    assert best_trial(values) == best
