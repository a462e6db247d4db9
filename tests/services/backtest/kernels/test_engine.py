"""The engine against its twin in fractions, against hand-made cases, and against itself on less data."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.backtest.kernels.engine import run_full, run_summary
from services.backtest.kernels.fills import entry_side
from services.backtest.kernels.types import OPEN, SIGNAL, STOP, Signal
from tests.services.backtest.markets import (
    FREE,
    START_US,
    Market,
    account_rules,
    assert_equals_twin,
    changes,
    markets,
    run,
)
from tickloom.kernel import plain
from tickloom.strategy.rules import Rules


def market(bars: list[tuple[float, float, float, float]], signal: list[int]) -> Market:
    """Hourly bars of (open, high, low, close)."""
    o, h, low, c = (np.array(column, float) for column in zip(*bars, strict=True))
    ts = START_US + np.arange(1, len(bars) + 1) * 3_600_000_000
    return Market(o, h, low, c, ts, np.array(signal, np.int8))


def flat(*prices: float) -> list[tuple[float, float, float, float]]:
    return [(p, p, p, p) for p in prices]


@settings(max_examples=300, deadline=None)
@given(market=markets(), rules=account_rules())
def test_trades_and_curve_equal_the_twin_in_fractions(market: Market, rules: Rules) -> None:
    assert_equals_twin(market, rules, atol=1e-9)


@settings(max_examples=200, deadline=None)
@given(market=markets(), rules=account_rules())
def test_c3_the_books_balance_at_every_bar(market: Market, rules: Rules) -> None:
    outcome, _, curve, trades = run(market, rules)
    np.testing.assert_array_equal(curve.cash + curve.position * market.close, curve.equity)
    gained = outcome.equity - rules.initial_cash
    assert trades.pnl.sum() == pytest.approx(gained, abs=1e-9 * max(1.0, abs(gained), rules.initial_cash))
    assert trades.fees.sum() == pytest.approx(outcome.tally.fees, abs=1e-9)
    assert (outcome.position != 0) == bool((trades.reason == OPEN).any())
    assert (trades.reason[:-1] != OPEN).all()


@settings(max_examples=200, deadline=None)
@given(market=markets(), rules=account_rules())
def test_a_summary_is_the_full_run_without_its_curve(market: Market, rules: Rules) -> None:
    outcome, daily = run_summary(market.prices(), changes(market.signal), rules)
    full, full_daily, curve, trades = run(market, rules)
    assert outcome == full
    assert outcome.n_trades == trades.side.size
    np.testing.assert_array_equal(daily, full_daily)
    day = market.prices().day
    expected = [curve.equity[np.flatnonzero(day <= d)[-1]] for d in range(day[-1] + 1)]
    np.testing.assert_array_equal(daily, expected)


@settings(max_examples=200, deadline=None)
@given(market=markets(), rules=account_rules(), cut=st.integers(1, 40))
def test_c1_nothing_up_to_a_bar_depends_on_a_later_bar(market: Market, rules: Rules, cut: int) -> None:
    cut = min(cut, market.close.size)
    _, _, whole, trades = run(market, rules)
    _, _, head, before = run(market.head(cut), rules)
    for ours, theirs in zip(head, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs[:cut])
    closed = trades.exit_bar[(trades.exit_bar < cut) & (trades.exit_bar >= 0)].size
    for ours, theirs in zip(before, trades, strict=True):
        np.testing.assert_array_equal(ours[:closed], theirs[:closed])
    assert before.entry_bar.tolist() == trades.entry_bar[trades.entry_bar < cut].tolist()


@settings(max_examples=100, deadline=None)
@given(market=markets(), rules=account_rules(), cut=st.integers(1, 40), factor=st.sampled_from([1e9, 1e-9]))
def test_c1_poisoning_what_comes_later_changes_nothing_before(
    market: Market, rules: Rules, cut: int, factor: float
) -> None:
    cut = min(cut, market.close.size)
    poisoned = {
        n: np.r_[getattr(market, n)[:cut], getattr(market, n)[cut:] * factor] for n in ("open", "high", "low", "close")
    }
    # The signal of bar cut - 1 is known there and is left alone; those after it are turned round.
    signal = np.r_[market.signal[:cut], market.signal[cut:] ^ 15].astype(np.int8)
    _, _, clean, _ = run(market, rules)
    _, _, dirty, _ = run(replace(market, **poisoned, signal=signal), rules)
    for ours, theirs in zip(dirty, clean, strict=True):
        np.testing.assert_array_equal(ours[:cut], theirs[:cut])


@pytest.mark.parametrize(
    ("mask", "side"),
    [(0, 0), (1, 1), (4, -1), (3, 0), (12, 0), (5, 0), (6, -1), (9, 1), (7, -1), (13, 1), (15, 0), (2, 0), (8, 0)],
)
def test_an_exit_beats_an_entry_of_its_side_and_two_sides_at_once_are_none(mask: int, side: int) -> None:
    assert plain(entry_side)(mask) == side


def test_a_signal_fills_at_the_next_open_with_slippage_and_commission_by_hand() -> None:
    # 10,000 at 100 * 1.01 = 101: 10,000 / (101 * 1.1) = 90.009... units; out at 200 * 0.99 = 198.
    rules = Rules(10_000.0, 1.0, 0.1, 0.01, 0.0)
    outcome, _, _, trades = run(market(flat(50, 100, 200, 300), [1, 2, 0, 0]), rules)
    quantity = 10_000 / (101 * 1.1)
    assert (trades.entry_bar[0], trades.exit_bar[0], trades.reason[0]) == (1, 2, SIGNAL)
    assert trades.quantity[0] == pytest.approx(quantity)
    assert trades.entry_fill[0] == 101
    assert trades.exit_fill[0] == 198
    assert outcome.equity == pytest.approx(quantity * 198 * 0.9)
    assert trades.fees[0] == pytest.approx(quantity * (101 + 198) * 0.1)


def test_a_signal_on_the_last_bar_fills_nowhere() -> None:
    outcome, _, _, trades = run(market(flat(100, 100, 100), [0, 0, 1]), FREE)
    assert outcome.n_trades == 0
    assert trades.side.size == 0


def test_one_bar_alone_trades_nothing() -> None:
    outcome, daily = run_summary(market(flat(100), [1]).prices(), Signal(np.array([0]), np.array([1], np.int8)), FREE)
    assert outcome.n_trades == 0
    assert daily.tolist() == [10_000.0]


def test_a_position_open_at_the_end_is_marked_to_the_last_close_and_not_closed() -> None:
    outcome, _, _, trades = run(market(flat(100, 100, 120), [1, 0, 0]), replace_commission(0.25))
    assert (trades.exit_bar[0], trades.reason[0]) == (-1, OPEN)
    assert np.isnan(trades.exit_fill[0])
    assert outcome.tally.n_closed == 0
    assert outcome.position == 80.0
    assert outcome.equity == 9_600.0
    assert trades.pnl[0] == -400.0
    assert trades.fees[0] == 2_000.0


def replace_commission(rate: float) -> Rules:
    return FREE._replace(commission_rate=rate)


def test_exit_and_opposite_entry_on_one_bar_flip_the_position_at_one_open() -> None:
    _, _, curve, trades = run(market(flat(100, 100, 125, 100), [1, 2 | 4, 0, 0]), FREE)
    assert trades.side.tolist() == [1, -1]
    assert trades.exit_bar[0] == trades.entry_bar[1] == 2
    assert curve.equity.tolist() == [10_000, 10_000, 12_500, 15_000]


@pytest.mark.parametrize(
    ("bar", "fill"),
    [((95.0, 96.0, 80.0, 85.0), 90.0), ((85.0, 88.0, 80.0, 85.0), 85.0), ((95.0, 96.0, 90.0, 91.0), 90.0)],
    ids=["within the bar", "gap below the stop", "touched exactly"],
)
def test_a_long_stop_fills_at_the_stop_or_at_a_worse_open(bar: tuple[float, ...], fill: float) -> None:
    bars = [*flat(100, 100), bar, *flat(100)]
    _, _, _, trades = run(market(bars, [1, 0, 0, 0]), FREE._replace(stop_loss_rate=0.1))  # type: ignore[list-item]
    assert trades.reason.tolist() == [STOP]
    assert trades.exit_fill.tolist() == [fill]
    assert trades.exit_bar.tolist() == [2]


@pytest.mark.parametrize(
    ("bar", "fill"), [((110.0, 130.0, 100.0, 101.0), 112.5), ((120.0, 130.0, 100.0, 101.0), 120.0)]
)
def test_a_short_stop_fills_at_the_stop_or_at_a_worse_open(bar: tuple[float, ...], fill: float) -> None:
    bars = [*flat(100, 100), bar]
    _, _, _, trades = run(market(bars, [4, 0, 0]), FREE._replace(stop_loss_rate=0.125))  # type: ignore[list-item]
    assert trades.reason.tolist() == [STOP]
    assert trades.exit_fill.tolist() == [fill]


def test_the_bar_of_entry_can_stop_out_and_the_signal_at_its_close_can_enter_again() -> None:
    bars = [*flat(100), (100.0, 100.0, 80.0, 100.0), *flat(100, 100)]
    _, _, _, trades = run(market(bars, [1, 1, 0, 0]), FREE._replace(stop_loss_rate=0.125))  # type: ignore[list-item]
    assert trades.entry_bar.tolist() == [1, 2]
    assert trades.exit_bar.tolist() == [1, -1]
    assert trades.exit_fill[0] == 87.5


def test_an_exit_signal_at_a_gap_fills_at_the_open_before_the_stop_is_looked_at() -> None:
    bars = [*flat(100, 100), (80.0, 90.0, 70.0, 85.0)]
    _, _, _, trades = run(market(bars, [1, 2, 0]), FREE._replace(stop_loss_rate=0.125))  # type: ignore[list-item]
    assert trades.reason.tolist() == [SIGNAL]
    assert trades.exit_fill.tolist() == [80.0]


def test_a_ruined_account_trades_no_more() -> None:
    outcome, _, curve, trades = run(market(flat(100, 100, 300, 300, 300), [4, 8, 1, 0, 0]), FREE)
    assert trades.side.tolist() == [-1]
    assert outcome.equity == -10_000
    assert curve.equity[-1] == -10_000


def test_entries_while_a_position_is_open_are_not_added_to_it() -> None:
    _, _, _, trades = run(market(flat(100, 100, 110, 120), [1, 1, 4, 0]), FREE)
    assert trades.side.tolist() == [1]
    assert trades.quantity.tolist() == [100.0]


def test_a_change_that_says_the_same_again_changes_nothing() -> None:
    bars = market(flat(100, 100, 110, 120, 130, 90), [1, 0, 0, 2, 0, 0])
    said_twice = Signal(np.arange(6), bars.signal)
    assert run_summary(bars.prices(), said_twice, FREE)[0] == run_summary(bars.prices(), changes(bars.signal), FREE)[0]


def test_the_engine_does_not_write_to_its_inputs() -> None:
    bars = market(flat(100, 100, 110, 120), [1, 0, 2, 0])
    prices = bars.prices()
    signal = changes(bars.signal)
    for column in (*prices, *signal):
        column.setflags(write=False)
    outcome, _, _, _ = run_full(prices, signal, FREE)
    assert outcome.equity == 12_000


def test_the_example_in_the_documentation_is_what_the_engine_does() -> None:
    bars = [
        (100, 101, 99, 100), (100, 103, 99.5, 102), (102, 106, 101, 105),
        (104, 105, 102, 103), (103, 107, 102.5, 106), (106, 108, 105, 107),
    ]  # fmt: skip
    rules = Rules(10_000.0, 1.0, 0.001, 0.0005, 0.02)
    _, _, curve, trades = run(market(bars, [1, 0, 2 | 4, 0, 0, 0]), rules)
    assert trades.reason.tolist() == [SIGNAL, STOP]
    assert trades.quantity.round(6).tolist() == [99.850175, 99.650674]
    assert trades.entry_fill.round(6).tolist() == [100.05, 103.948]
    assert trades.exit_fill.round(6).tolist() == [103.948, 106.079973]
    assert trades.fees.round(6).tolist() == [round(9.990010 + 10.379226, 6), round(10.358488 + 10.570941, 6)]
    assert trades.pnl.round(6).tolist() == [368.846745, -233.382023]
    assert curve.cash.round(6).tolist() == [10_000, 0, 0, 20_716.976514, 10_135.464722, 10_135.464722]
    assert curve.equity.round(6).tolist() == [
        10_000, 10_184.717831, 10_484.268355, 10_452.957096, 10_135.464722, 10_135.464722,
    ]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(market=markets(), rules=account_rules())
def test_slippage_is_what_the_fills_cost_beyond_the_prices_they_came_from(market: Market, rules: Rules) -> None:
    _, _, _, trades = run(market, rules)
    rate = rules.slippage_rate
    for k in range(trades.side.size):
        side = int(trades.side[k])
        came_from = market.open[trades.entry_bar[k]]
        lost = side * (trades.entry_fill[k] - came_from)
        if trades.reason[k] == SIGNAL:
            lost += side * (market.open[trades.exit_bar[k]] - trades.exit_fill[k])
        elif trades.reason[k] == STOP:
            lost += side * (trades.exit_fill[k] / (1 - side * rate) - trades.exit_fill[k])
        assert trades.slippage[k] == pytest.approx(trades.quantity[k] * lost, rel=1e-9, abs=1e-9)
        assert trades.slippage[k] >= 0.0
