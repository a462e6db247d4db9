"""C5: fifty strategies with every figure in full, and what laws C1, C2, C3 and C6 say of those of one symbol.

A change here is wanted or wrong. Where it is wanted: `python -m tests.golden --write`, and a line in CHANGELOG.md.
"""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from services.backtest.adapters.tables import REASONS
from services.backtest.domain.account import reads_volatility
from services.backtest.domain.latency import masks_of
from services.backtest.kernels.types import Prices, Signal
from tests.golden.__main__ import ALL, Golden, found_of, kept
from tests.golden.markets import bars_of
from tests.golden.record import differences, inputs_of, paths_of, played, record_of
from tests.golden.strategies import STRATEGIES, Strategy
from tests.naive import backtest as naive
from tests.naive import inside as naive_inside
from tests.services.backtest.markets import volatility_naively
from tickloom.strategy.rules import Rules

YEAR_US = 365 * 86_400_000_000

every_strategy = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)


@pytest.fixture
def data(strategy: Golden, request: pytest.FixtureRequest) -> Path | None:
    """The folder of real data, for strategies on real data."""
    return None if strategy.is_made else request.getfixturevalue("shared_data")


@pytest.mark.parametrize("strategy", ALL, ids=lambda strategy: strategy.name)
def test_c5_a_golden_strategy_does_what_it_did(strategy: Golden, data: Path | None) -> None:
    found = differences(kept()[strategy.name], found_of(strategy, data))
    assert found == [], "if this is wanted: python -m tests.golden --write, and a line in CHANGELOG.md"


def test_c5_the_strategies_are_thirty_and_between_them_do_everything_an_account_can() -> None:
    assert [strategy.name for strategy in ALL] == list(kept())
    records = {strategy.name: kept()[strategy.name] for strategy in STRATEGIES}
    assert len(records) >= 30
    left = {name for record in records.values() for name in record["counts"] if name.startswith("left by ")}
    assert left == {f"left by {reason}" for reason in REASONS.values()}
    assert any(record["counts"]["refused"] for record in records.values())
    name = "decided by trades"
    decided = [record["counts"][name] for record in records.values() if name in record["counts"]]
    assert len(decided) >= 3
    assert min(decided) > 0
    asked = [strategy.backtest_request() for strategy in STRATEGIES]
    assert {type(request.sizing).__name__ for request in asked} == {
        "FullCapital", "FixedFraction", "FixedNotional", "VolatilityTarget", "RiskPerTrade",
    }  # fmt: skip
    assert {type(request.impact).__name__ for request in asked} == {"NoneType", "VolumeShare", "SquareRoot"}
    assert {type(request.entry).__name__ for request in asked} == {"MarketEntry", "LimitEntry"}
    assert any(request.latency_ms for request in asked)
    assert sum(strategy.is_made for strategy in STRATEGIES) >= 12  # they run where there is no real data


def test_c5_a_difference_is_named_and_a_last_bit_of_a_logarithm_is_none() -> None:
    record = kept()["averages cross above the trend with a stop"]
    moved = record | {"metrics": record["metrics"] | {"cagr": record["metrics"]["cagr"] * (1 + 1e-15)}}
    assert differences(record, moved) == []
    moved["metrics"] |= {"total_return": np.nextafter(record["metrics"]["total_return"], 1.0).item()}
    assert [line.partition(":")[0] for line in differences(record, moved)] == ["total_return"]
    assert [line.partition(":")[0] for line in differences(record, record | {"orders": "0"})] == ["orders"]


def twin_of(strategy: Strategy, prices: Prices, signal: Signal, rules: Rules) -> naive.Account:
    """Return the account that the twin keeps."""
    request = strategy.backtest_request()
    window = request.volatility_bars
    bars = list(zip(*(column.tolist() for column in prices[:4]), strict=True))
    years = [ts / YEAR_US for ts in prices.ts_close.tolist()]
    flow = {
        "volume": prices.volume.tolist() if prices.volume.size else None,
        "volatility": volatility_naively(prices.close.tolist(), years, window) if reads_volatility(rules) else None,
        "unit": prices.stop_unit.tolist() if prices.stop_unit.size else None,
        "span": [0.0, *(b - a for a, b in pairwise(years))],
    }
    masks = masks_of(signal, prices.close.size).tolist()
    if strategy.sees_trades:
        paths, fills = [path.tolist() for path in paths_of(strategy)], request.inside_bar == "fills"
        return naive_inside.run(bars, masks, rules._asdict(), paths, fills=fills, **flow)
    return naive.run(bars, masks, rules._asdict(), **flow)


@every_strategy
def test_c6_the_twin_in_decimals_makes_the_same_trades_and_figures(strategy: Strategy, data: Path | None) -> None:
    prices, signal, rules = inputs_of(strategy, *bars_of(strategy.market, data))
    trades = played(strategy, prices, signal, rules, paths_of(strategy))[3]
    figures = record_of(strategy, data)["metrics"]
    with naive.decimals():
        twin = twin_of(strategy, prices, signal, rules)
        expected = naive.metrics(twin, prices.ts_close.tolist(), rules.initial_cash)
    for name in ("entry_bar", "exit_bar", "side"):
        assert getattr(trades, name).tolist() == [trade[name] for trade in twin.trades], name
    assert [REASONS[reason] for reason in trades.reason.tolist()] == [trade["reason"] for trade in twin.trades]
    for name, value in expected.items():
        assert figures[name] == (None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)), name


@every_strategy
def test_c3_the_books_balance_at_every_bar(strategy: Strategy, data: Path | None) -> None:
    prices, signal, rules = inputs_of(strategy, *bars_of(strategy.market, data))
    outcome, _, curve, trades = played(strategy, prices, signal, rules, paths_of(strategy))
    np.testing.assert_array_equal(curve.cash + curve.position * prices.close, curve.equity)
    scale = max(1.0, rules.initial_cash, float(np.abs(curve.equity).max()))
    assert trades.pnl.sum() == pytest.approx(outcome.equity - rules.initial_cash, abs=1e-9 * scale)
    assert trades.fees.sum() == pytest.approx(outcome.tally.fees, abs=1e-9 * scale)
    filled = np.zeros(prices.close.size + 1)
    np.add.at(filled, trades.entry_bar, trades.side * trades.quantity)
    np.add.at(filled, trades.exit_bar, -trades.side * trades.quantity)  # of an open trade: past the last bar
    np.testing.assert_allclose(np.cumsum(filled)[:-1], curve.position, atol=1e-9 * max(1.0, np.abs(filled).sum()))


@pytest.mark.parametrize("everywhere", [False, pytest.param(True, marks=pytest.mark.chaos)], ids=["few", "all"])
@every_strategy
def test_c1_bars_of_a_later_time_change_no_feature_signal_or_fill_before_it(
    strategy: Strategy, data: Path | None, everywhere: bool
) -> None:
    """At five moments, three of them behind a fill; in the campaign at fifty, and behind every fill (500 at most)."""
    columns, ts_close = bars_of(strategy.market, data)
    prices, signal, rules = inputs_of(strategy, columns, ts_close)
    paths = paths_of(strategy)
    _, _, whole, trades = played(strategy, prices, signal, rules, paths_of(strategy))
    rng, closed = np.random.default_rng(len(strategy.name)), trades.exit_bar[trades.exit_bar >= 0]
    n_near, n_far = (500, 50) if everywhere else (3, 2)
    near = [int(bar) + 1 for bar in rng.permutation(np.r_[trades.entry_bar, closed])[:n_near]]
    for cut in [*near, *rng.integers(1, ts_close.size, n_far).tolist()]:
        poisoned = {name: np.r_[x[:cut], 3.0 * x[cut:][::-1]] for name, x in columns.items()}
        for bars, ts in (({n: x[:cut].copy() for n, x in columns.items()}, ts_close[:cut]), (poisoned, ts_close)):
            known, said, _ = inputs_of(strategy, bars, ts)
            later = [3.0 * path for path in paths[cut:][::-1]] if bars is poisoned else []
            _, _, curve, made = played(strategy, known, said, rules, [*paths[:cut], *later])
            # What is late says what the next open is to act on, and behind the last bar there is none.
            until = cut - 1 if strategy.backtest_request().latency_ms else cut
            n_said = int((said.bar < until).sum())
            for ours, before in zip(said, signal, strict=True):
                np.testing.assert_array_equal(ours[:n_said], before[: int((signal.bar < until).sum())])
            for ours, before in zip(curve, whole, strict=True):
                np.testing.assert_array_equal(ours[:cut], before[:cut])
            n_done = int((closed < cut).sum())
            for ours, before in zip(made, trades, strict=True):
                np.testing.assert_array_equal(ours[:n_done], before[:n_done])


def test_c2_neither_hash_seed_nor_number_of_threads_changes_a_figure() -> None:
    few = {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    none = {"TICKLOOM_SHARED_DATA": os.devnull}
    found = subprocess.run(
        [sys.executable, "-m", "tests.golden"], env=os.environ | few | none, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
