"""Costs and chance: the engine run again under other costs, and the same trades at random times."""

import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.backtest.domain.stress import (
    RANDOM_RUNS,
    at_costs,
    at_the_market,
    break_even_cost,
    cost_surface,
    random_entries,
    shares,
    total_return,
)
from services.backtest.kernels.engine import run_full, run_summary
from services.backtest.kernels.moved import run_moved
from services.backtest.kernels.types import Prices, Signal
from tests.naive import luck as naive
from tests.services.backtest.markets import Market, changes
from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT
from tickloom.kernel import F64, I8, I64
from tickloom.strategy.rules import BY_RISK, VOLUME_SHARE, Rules

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


@pytest.mark.parametrize(
    ("commission", "maker", "expected"),
    [(0.0, 0.0, 0.002), (0.001, 0.0005, 0.001), (0.001, 0.0, 0.0), (0.001, 0.001, 0.002), (0.0, 0.0003, 0.0003)],
)
def test_makers_keep_their_part_of_the_commission_and_pay_all_of_it_where_nobody_paid(
    commission: float, maker: float, expected: float
) -> None:
    rules = at_costs(RULES._replace(commission_rate=commission, maker_rate=maker), 0.002, 0.0001)
    assert (rules.commission_rate, rules.maker_rate, rules.slippage_rate) == (0.002, pytest.approx(expected), 0.0001)


def test_from_a_run_without_costs_targets_and_limits_are_charged_on_the_surface_too() -> None:
    prices = trending()
    free = Rules(10_000.0, 1.0, 0.0, 0.0, 0.0, take_profit_rate=0.004, limit_rate=0.001, limit_bars=3)
    run, signal = partial(run_summary, prices), now_and_then(prices.close.size)
    surface = cost_surface(run, signal, free)
    at = surface.total_return[surface.commission_rates.index(0.001)][surface.slippage_rates.index(0.0)]
    assert at == total_return(run, signal, free._replace(commission_rate=0.001, maker_rate=0.001))


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


def timed_signal(entry: I64, leave: I64, side: I8) -> Signal:
    """Return the signal that is filled at the opens of bars `entry` and `leave`, 1 <= entry < leave < next entry."""
    mask: I8 = np.zeros(int(leave[-1]) + 1, np.int8)
    for enter, out, way in zip(entry, leave, side, strict=True):
        mask[enter - 1] |= LONG_ENTRY if way > 0 else SHORT_ENTRY
        mask[out - 1] = LONG_EXIT if way > 0 else SHORT_EXIT  # a trade of one bar: what is in force as it is entered
    return changes(mask)


def test_a_timed_signal_fills_at_the_opens_it_was_made_for() -> None:
    prices = trending(40)
    entry, leave, side = np.array([1, 5, 7, 20]), np.array([4, 6, 18, 39]), np.array([1, -1, 1, -1], np.int8)
    trades = run_full(prices, timed_signal(entry, leave, side), RULES)[3]
    assert trades.entry_bar.tolist() == entry.tolist()
    assert trades.exit_bar.tolist() == leave.tolist()
    assert trades.side.tolist() == side.tolist()


def test_random_runs_trade_as_often_as_long_as_large_and_on_the_same_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    prices = trending()
    trades = run_full(prices, now_and_then(prices.close.size), RULES._replace(fraction=0.3))[3]
    seen: list[tuple[I64, I64, I8, F64]] = []

    def spy(prices: Prices, entry: I64, leave: I64, side: I8, share: F64, rules: Rules) -> float:
        seen.append((entry, leave, side, share))
        return run_moved(prices, entry, leave, side, share, rules)

    monkeypatch.setattr("services.backtest.domain.stress.run_moved", spy)
    found = random_entries(prices, trades, RULES, own=0.1, seed=1)
    assert len(seen) == RANDOM_RUNS == len(found.total_return)
    share = shares(trades, RULES.initial_cash)
    assert share == pytest.approx(0.3 / 1.001)
    stretches = sorted(zip((trades.exit_bar - trades.entry_bar).tolist(), trades.side.tolist(), share, strict=True))
    for entry, leave, side, part in seen:
        assert sorted(zip((leave - entry).tolist(), side.tolist(), part, strict=True)) == stretches
        assert entry[0] >= 1
        assert leave[-1] < prices.close.size
        assert (entry[1:] >= leave[:-1]).all()
    assert len({tuple(entry.tolist()) for entry, _, _, _ in seen}) > RANDOM_RUNS * 0.9


@pytest.mark.parametrize(
    "rules",
    [
        RULES,
        RULES._replace(fraction=0.4, leverage=3.0, maintenance_rate=0.3, slippage_rate=0.002),
        RULES._replace(lot_step=0.5, min_notional=100.0, fraction=0.7),
        RULES._replace(impact_kind=VOLUME_SHARE, impact=0.5, impact_cap=0.05, fraction=0.5),
    ],
)
def test_trades_moved_nowhere_come_to_what_the_engine_says(rules: Rules) -> None:
    prices = trending()._replace(volume=np.linspace(50.0, 500.0, 600) if rules.impact_kind else np.empty(0))
    random = np.random.default_rng(5)
    entry = np.arange(5, 580, 20)
    leave, side = entry + random.integers(1, 19, entry.size), random.choice([-1, 1], entry.size).astype(np.int8)
    outcome, _, _, trades = run_full(prices, timed_signal(entry, leave, side), rules)
    assert trades.entry_bar.tolist() == entry.tolist()
    at = run_moved(prices, entry, leave, side, shares(trades, rules.initial_cash), at_the_market(rules))
    assert at == pytest.approx(outcome.cash, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_moved_trades_equal_the_slow_twin_also_where_one_begins_as_the_other_ends(data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, 59), min_size=2, max_size=12)))
    stretches = [pair for pair in itertools.pairwise(cuts) if data.draw(st.booleans())]
    entry, leave = np.array([a for a, _ in stretches], np.int64), np.array([b for _, b in stretches], np.int64)
    side = np.array([data.draw(st.sampled_from([-1, 1])) for _ in stretches], np.int8)
    share = np.array([data.draw(st.floats(0.01, 0.99)) for _ in stretches])
    prices, costs = trending(60), (RULES.commission_rate, RULES.slippage_rate)
    expected = naive.moved(prices.open.tolist(), list(zip(entry, leave, side, share, strict=True)), costs, 10_000.0)
    assert run_moved(prices, entry, leave, side, share, at_the_market(RULES)) == pytest.approx(expected, rel=1e-12)


def at_random(n: int, seed: int, always: bool) -> Signal:
    """Return signals that know nothing of prices: long now and then, or always long or short."""
    random = np.random.default_rng(seed)
    mask: I8 = np.zeros(n, np.int8)
    at, side = 20, 1
    while at < n - 60:
        held = int(random.integers(5, 40))
        if always:
            mask[at : at + held] = LONG_ENTRY | SHORT_EXIT if side > 0 else SHORT_ENTRY | LONG_EXIT
            at, side = at + held, -side
        else:
            mask[at], mask[at + held] = LONG_ENTRY, LONG_EXIT
            at += held + int(random.integers(10, 60))
    mask[at:] = LONG_EXIT | SHORT_EXIT if not always else mask[at - 1]
    return changes(mask)


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize(
    "rules",
    [RULES, Rules(10_000.0, 0.005, 0.001, 0.0005, 0.05, sizing=BY_RISK), RULES._replace(fraction=0.2)],
)
def test_of_strategies_that_know_nothing_one_in_twenty_beats_all_but_one_in_twenty_random_runs(
    rules: Rules, always: bool
) -> None:
    found = []
    for seed in range(40):
        prices, signal = trending(2000, 0.0, seed), at_random(2000, seed + 1000, always)
        outcome, _, _, trades = run_full(prices, signal, rules)
        own = outcome.equity / rules.initial_cash - 1.0
        found.append(random_entries(prices, trades, rules, own, seed).p_value)
    values = np.array(found, np.float64)
    assert (values <= 0.05).sum() <= 5  # 2 of 40 expected
    assert 0.35 < values.mean() < 0.65


def test_a_result_that_no_random_run_reaches_has_the_least_p_value_and_a_poor_one_a_large_one() -> None:
    prices = trending()
    trades = run_full(prices, now_and_then(prices.close.size), RULES)[3]
    great, poor = (random_entries(prices, trades, RULES, own=own, seed=3) for own in (100.0, -1.0))
    assert great.p_value == 1 / (RANDOM_RUNS + 1)
    assert poor.p_value == 1.0
    assert great.total_return == poor.total_return  # the same seed, the same draws


def test_who_is_always_in_the_market_is_compared_with_another_order_of_its_stretches() -> None:
    prices = trending(500, 0.0)
    trades = run_full(prices, at_random(500, 2, always=True), RULES)[3]
    assert (trades.entry_bar[1:] == trades.exit_bar[:-1]).all()
    found = random_entries(prices, trades, RULES, own=0.0, seed=1)
    assert found.reason == ""
    assert len(set(found.total_return)) > RANDOM_RUNS * 0.9


def test_without_trades_or_without_anything_to_move_it_is_said_why_there_is_no_comparison() -> None:
    prices = trending(50)
    none = run_full(prices, changes(np.zeros(50, np.int8)), RULES)[3]
    always = np.zeros(50, np.int8)
    always[0] = 1
    nothing = random_entries(prices, none, RULES, 0.0, 1)
    assert (nothing.p_value, nothing.total_return) == (None, ())
    assert "no trade" in nothing.reason
    assert (
        "from end to end" in random_entries(prices, run_full(prices, changes(always), RULES)[3], RULES, 0.0, 1).reason
    )
