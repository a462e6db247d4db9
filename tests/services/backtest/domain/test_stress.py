"""Costs and chance: the engine run again under other costs, and the same trades at random times."""

from functools import partial

import numpy as np
import pytest

from services.backtest.domain.stress import (
    RANDOM_RUNS,
    break_even_cost,
    cost_surface,
    random_entries,
    timed_signal,
    total_return,
)
from services.backtest.kernels.engine import run_full, run_summary
from services.backtest.kernels.types import Prices, Signal
from tests.services.backtest.markets import Market, changes
from tickloom.kernel import I8, I64
from tickloom.strategy.rules import Rules

RULES = Rules(10_000.0, 1.0, 0.001, 0.0005, 0.0)


def trending(n: int = 600, rate: float = 0.001, seed: int = 1) -> Prices:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(rate, 0.004, n)))
    open_ = np.concatenate([[100.0], close[:-1]])
    ts = 1_640_995_200_000_000 + np.arange(1, n + 1, dtype=np.int64) * 3_600_000_000
    return Market(open_, np.maximum(open_, close), np.minimum(open_, close), close, ts, np.zeros(n, np.int8)).prices()


def now_and_then(n: int) -> Signal:
    mask: I8 = np.zeros(n, np.int8)
    mask[10::60], mask[40::60] = 1, 2
    return changes(mask)


def test_the_surface_holds_the_trials_own_costs_and_falls_with_each_cost() -> None:
    prices = trending()
    rules = RULES._replace(commission_rate=0.0007, slippage_rate=0.0003)
    signal = now_and_then(prices.close.size)
    surface = cost_surface(partial(run_summary, prices), signal, rules)
    table = np.array(surface.total_return)
    assert table.shape == (len(surface.commission_rates), len(surface.slippage_rates)) == (7, 6)
    own = table[surface.commission_rates.index(0.0007), surface.slippage_rates.index(0.0003)]
    assert own == total_return(partial(run_summary, prices), signal, rules)
    assert (np.diff(table, axis=0) < 0).all()
    assert (np.diff(table, axis=1) < 0).all()


def test_at_the_break_even_cost_nothing_is_gained_and_nothing_lost() -> None:
    prices = trending()
    signal = now_and_then(prices.close.size)
    cost = break_even_cost(partial(run_summary, prices), signal, RULES)
    assert cost is not None
    at_it = total_return(
        partial(run_summary, prices), signal, RULES._replace(commission_rate=cost, maker_rate=cost, slippage_rate=0.0)
    )
    assert at_it == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("rate", [-0.002, 0.2])
def test_what_loses_for_nothing_or_gains_at_any_cost_has_no_break_even(rate: float) -> None:
    prices = trending(n=200, rate=rate)
    assert break_even_cost(partial(run_summary, prices), now_and_then(200), RULES) is None


def test_a_timed_signal_fills_at_the_opens_it_was_made_for() -> None:
    prices = trending(40)
    entry, leave, side = np.array([1, 5, 6, 20]), np.array([4, 6, 18, 39]), np.array([1, -1, 1, -1])
    trades = run_full(prices, timed_signal(entry, leave, side), RULES)[3]
    assert trades.entry_bar.tolist() == entry.tolist()
    assert trades.exit_bar.tolist() == leave.tolist()
    assert trades.side.tolist() == side.tolist()


def test_random_runs_trade_as_often_as_long_and_on_the_same_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    prices = trending()
    trades = run_full(prices, now_and_then(prices.close.size), RULES)[3]
    seen: list[tuple[I64, I64, I8]] = []

    def spy(entry: I64, leave: I64, side: I8) -> Signal:
        seen.append((entry, leave, side))
        return timed_signal(entry, leave, side)

    monkeypatch.setattr("services.backtest.domain.stress.timed_signal", spy)
    found = random_entries(prices, trades, RULES, own=0.1, seed=1)
    assert found is not None
    assert len(seen) == RANDOM_RUNS == len(found.total_return)
    held = sorted((trades.exit_bar - trades.entry_bar).tolist())
    for entry, leave, side in seen:
        assert sorted((leave - entry).tolist()) == held
        assert sorted(side.tolist()) == sorted(trades.side.tolist())
        assert entry[0] >= 1
        assert leave[-1] < prices.close.size
        assert (entry[1:] > leave[:-1]).all()
    assert len({tuple(entry.tolist()) for entry, _, _ in seen}) > RANDOM_RUNS * 0.9


def test_a_result_that_no_random_run_reaches_has_the_least_p_value_and_a_poor_one_a_large_one() -> None:
    prices = trending()
    trades = run_full(prices, now_and_then(prices.close.size), RULES)[3]
    great, poor = (random_entries(prices, trades, RULES, own=own, seed=3) for own in (100.0, -1.0))
    assert great is not None
    assert poor is not None
    assert great.p_value == 1 / (RANDOM_RUNS + 1)
    assert poor.p_value == 1.0
    assert great.total_return == poor.total_return  # the same seed, the same draws


def test_without_trades_or_without_room_there_is_nothing_to_compare_with() -> None:
    prices = trending(50)
    none = run_full(prices, changes(np.zeros(50, np.int8)), RULES)[3]
    always = np.zeros(50, np.int8)
    always[0] = 1
    assert random_entries(prices, none, RULES, 0.0, 1) is None
    assert random_entries(prices, run_full(prices, changes(always), RULES)[3], RULES, 0.0, 1) is None
