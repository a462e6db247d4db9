"""What happens inside a bar, by its trades: against a twin that walks through every bar, by hand, and by law."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.backtest.adapters.tables import REASONS
from services.backtest.domain.inside import Opener
from services.backtest.kernels.inside import BY_BARS, BY_GUESS, BY_TRADES
from services.backtest.kernels.types import OPEN, STOP, TARGET, TRAIL
from tests.services.backtest.kernels.test_engine import flat, market
from tests.services.backtest.markets import FREE, changes, run, venue_rules
from tests.services.backtest.paths import Path, Traded, of_paths, run_traded, run_traded_naively, traded_markets
from tickloom.strategy.rules import Rules

many = settings(max_examples=100, deadline=None)


@settings(max_examples=300, deadline=None)
@given(traded=traded_markets(), rules=venue_rules(), fills=st.booleans())
def test_opening_the_bars_that_decide_equals_walking_through_every_bar(
    traded: Traded, rules: Rules, fills: bool
) -> None:
    _, _, curve, trades = run_traded(traded, rules, fills=fills)
    twin = run_traded_naively(traded, rules, fills=fills)
    assert trades.entry_bar.tolist() == [t["entry_bar"] for t in twin.trades]
    assert trades.exit_bar.tolist() == [t["exit_bar"] for t in twin.trades]
    assert [REASONS[r] for r in trades.reason.tolist()] == [t["reason"] for t in twin.trades]
    for name in ("quantity", "entry_fill", "fees", "pnl"):
        expected = [float(t[name]) for t in twin.trades]
        np.testing.assert_allclose(getattr(trades, name), expected, rtol=1e-9, atol=1e-7, err_msg=name)
    exits = [np.nan if t["exit_fill"] is None else float(t["exit_fill"]) for t in twin.trades]
    np.testing.assert_allclose(trades.exit_fill, exits, rtol=1e-9)
    np.testing.assert_allclose(curve.equity, [float(row[2]) for row in twin.curve], rtol=1e-9, atol=1e-6)
    assert not (trades.source == BY_GUESS).any()


@many
@given(traded=traded_markets(), rules=venue_rules(), fills=st.booleans(), data=st.data())
def test_c1_what_comes_later_changes_nothing_before(
    traded: Traded, rules: Rules, fills: bool, data: st.DataObject
) -> None:
    _, _, curve, trades = run_traded(traded, rules, fills=fills)
    n_bars = traded.market.close.size
    near = {int(bar) + 1 for bar in (*trades.entry_bar, *trades.exit_bar) if bar >= 0} | {1, n_bars}
    for n in (data.draw(st.sampled_from(sorted(near))), data.draw(st.integers(1, n_bars))):
        _, _, shorter, kept = run_traded(traded.head(n), rules, fills=fills)
        np.testing.assert_array_equal(shorter.equity, curve.equity[:n])
        done = int((kept.reason != OPEN).sum())
        for name in ("exit_bar", "exit_fill", "pnl", "reason", "source", "exit_trade"):
            np.testing.assert_array_equal(getattr(kept, name)[:done], getattr(trades, name)[:done])


@many
@given(traded=traded_markets(), rules=venue_rules(), fills=st.booleans(), data=st.data())
def test_c1_the_trades_after_the_one_that_ended_a_position_change_nothing_of_it(
    traded: Traded, rules: Rules, fills: bool, data: st.DataObject
) -> None:
    """The tail of a bar is put in another order: what a trade before it did stays done."""
    _, _, _, trades = run_traded(traded, rules, fills=fills)
    for k in np.flatnonzero(trades.exit_trade >= 0).tolist():
        bar, at = int(trades.exit_bar[k]), int(trades.exit_trade[k])
        path = traded.paths[bar]
        tail = data.draw(st.permutations(path[at + 1 :]))
        paths = [*traded.paths[:bar], [*path[: at + 1], *tail], *traded.paths[bar + 1 :]]
        _, _, _, other = run_traded(of_paths(traded.market, paths), rules, fills=fills)
        for name in ("exit_bar", "exit_fill", "pnl", "reason"):
            assert getattr(other, name)[k] == getattr(trades, name)[k]


@many
@given(traded=traded_markets(), rules=venue_rules(), fills=st.booleans())
def test_c3_the_books_balance_with_trades_as_without(traded: Traded, rules: Rules, fills: bool) -> None:
    outcome, _, curve, trades = run_traded(traded, rules, fills=fills)
    np.testing.assert_array_equal(curve.cash + curve.position * traded.market.close, curve.equity)
    scale = max(1.0, np.abs(curve.equity).max())
    assert trades.pnl.sum() == pytest.approx(outcome.equity - rules.initial_cash, abs=1e-9 * scale)
    assert trades.fees.sum() == pytest.approx(outcome.tally.fees, abs=1e-9 * scale)
    assert (trades.source == BY_TRADES).sum() == outcome.n_by_trades
    assert (trades.exit_trade >= 0).sum() <= outcome.n_by_trades
    assert traded.opener(fills=fills).run(changes(traded.market.signal), rules)[0] == outcome


@many
@given(traded=traded_markets(), rules=venue_rules())
def test_with_trades_every_fill_without_slippage_is_a_price_between_two_trades(traded: Traded, rules: Rules) -> None:
    """m16, and no stop is better than its level: a fill by a trade is at the trade, or at the limit it went through."""
    _, _, _, trades = run_traded(traded, rules._replace(slippage_rate=0.0, impact_kind=0), fills=True)
    for k in np.flatnonzero(trades.exit_trade >= 0).tolist():
        price = traded.paths[int(trades.exit_bar[k])][int(trades.exit_trade[k])]
        if trades.reason[k] == TARGET:
            assert trades.side[k] * price > trades.side[k] * trades.exit_fill[k]
        else:
            assert trades.exit_fill[k] == price


@many
@given(traded=traded_markets(), rules=venue_rules())
def test_the_guess_and_the_trades_differ_only_where_trades_say_so(traded: Traded, rules: Rules) -> None:
    _, _, _, trades = run_traded(traded, rules)
    outcome, _, _, guessed = run(traded.market, rules)
    assert outcome.n_by_trades == 0
    first = np.flatnonzero(guessed.source == BY_GUESS)
    same = int(first[0]) if first.size else guessed.source.size
    for name in ("entry_bar", "exit_bar", "pnl", "reason"):
        np.testing.assert_array_equal(getattr(trades, name)[:same], getattr(guessed, name)[:same])
    assert (trades.source[:same] == BY_BARS).all()
    if not first.size:
        assert trades.source.size == guessed.source.size


@many
@given(traded=traded_markets(), rules=venue_rules())
def test_without_target_and_trailing_stop_no_bar_is_opened(traded: Traded, rules: Rules) -> None:
    rules = rules._replace(take_profit_rate=0.0, trailing_rate=0.0)
    outcome = traded.opener().run(changes(traded.market.signal), rules).outcome
    assert (outcome.n_by_trades, outcome.n_by_guess, outcome.n_wanted) == (0, 0, 0)


ENTERED = [*flat(100, 100)]
BOTH = FREE._replace(stop_loss_rate=0.125, take_profit_rate=0.25)


def traded_bar(path: Path, rules: Rules, *, fills: bool = False, limit: bool = False) -> dict[str, float]:
    """The one trade of a long that is held through one bar of these trades."""
    bars = market([*ENTERED, (1.0, 1.0, 1.0, 1.0)], [1, 0, 0])
    first = [[100.0], path] if limit else [[100.0], [100.0], path]
    traded = of_paths(bars.head(len(first)), first)
    _, _, _, trades = run_traded(traded, rules, fills=fills)
    assert trades.side.size == 1
    return {name: column[0].item() for name, column in trades._asdict().items()}


@pytest.mark.parametrize(
    ("path", "reason", "fill", "at"),
    [
        ([100, 126, 80, 100], TARGET, 125.0, 1),  # the target first, though the guess says the stop
        ([100, 86, 126, 100], STOP, 87.5, 1),  # the stop first
        ([100, 125, 86, 126], STOP, 87.5, 2),  # a touch of the target is no fill
        ([100, 87.5, 126], STOP, 87.5, 1),  # a touch of the stop is
    ],
)
def test_stop_and_target_in_one_bar_by_hand(path: Path, reason: int, fill: float, at: int) -> None:
    trade = traded_bar(path, BOTH)
    assert (trade["reason"], trade["exit_fill"], trade["exit_trade"], trade["source"]) == (reason, fill, at, BY_TRADES)


def test_a_stop_that_trades_jumped_over_fills_at_its_level_or_where_asked_at_the_trade() -> None:
    path = [100.0, 80.0, 130.0]
    assert traded_bar(path, BOTH)["exit_fill"] == 87.5
    assert traded_bar(path, BOTH, fills=True)["exit_fill"] == 80.0


def test_where_fills_are_asked_for_a_stop_alone_is_opened_too() -> None:
    rules = FREE._replace(stop_loss_rate=0.125)
    plain, true = traded_bar([100.0, 80.0], rules), traded_bar([100.0, 80.0], rules, fills=True)
    assert (plain["exit_fill"], plain["source"]) == (87.5, BY_BARS)
    assert (true["exit_fill"], true["source"], true["exit_trade"]) == (80.0, BY_TRADES, 1)


@pytest.mark.parametrize("path", [[80.0, 130.0, 90.0], [130.0, 80.0, 90.0]])
def test_a_bar_that_opens_beyond_a_level_needs_no_trades(path: Path) -> None:
    for fills in (False, True):
        trade = traded_bar(path, BOTH, fills=fills)
        expected = 125.0 if fills and path[0] > 125.0 else path[0]  # a target rested in the book, a stop did not
        assert (trade["exit_fill"], trade["source"]) == (expected, BY_BARS)


@pytest.mark.parametrize(
    ("path", "reason", "fill"),
    [
        ([100, 160, 119, 130], TRAIL, 120.0),  # it followed to 160 * 3/4 before the price came down
        ([100, 90, 160, 130], OPEN, None),  # the low was before the high
        ([100, 110, 82, 160, 150], TRAIL, 82.5),  # it had followed to 110 only
    ],
)
def test_a_trailing_stop_follows_each_trade_by_hand(path: Path, reason: int, fill: float) -> None:
    trade = traded_bar(path, FREE._replace(trailing_rate=0.25))
    assert (trade["reason"], trade["source"]) == (reason, BY_TRADES)
    assert fill is None or trade["exit_fill"] == fill


@pytest.mark.parametrize(
    ("path", "reason", "fill", "source"),
    [
        ([100, 126, 94, 95], OPEN, None, BY_TRADES),  # the high was before the entry at 95
        ([100, 94, 119, 96], TARGET, 118.75, BY_TRADES),  # and here after it
        ([100, 94, 80, 119], STOP, 83.125, BY_TRADES),
        ([100, 95, 119, 94, 96], OPEN, None, BY_TRADES),  # a touch of the limit did not enter: the high came too soon
        ([100, 94, 119], TARGET, 118.75, BY_BARS),  # beyond the target at the close, no stop in reach: no doubt
        ([100, 80, 90], STOP, 83.125, BY_BARS),  # the stop lies below the entry: it can only come after
    ],
)
def test_an_entry_at_a_limit_inside_the_bar_by_hand(path: Path, reason: int, fill: float, source: int) -> None:
    rules = FREE._replace(limit_bars=1, limit_rate=0.05, stop_loss_rate=0.125, take_profit_rate=0.25)
    trade = traded_bar(path, rules, limit=True)
    assert (trade["entry_fill"], trade["reason"], trade["source"]) == (95.0, reason, source)
    assert fill is None or trade["exit_fill"] == fill


def test_the_trade_that_enters_can_stop_out() -> None:
    rules = FREE._replace(limit_bars=1, limit_rate=0.05, stop_loss_rate=0.125, take_profit_rate=0.25)
    trade = traded_bar([100.0, 80.0, 120.0, 90.0], rules, fills=True, limit=True)
    assert (trade["entry_fill"], trade["exit_fill"], trade["exit_trade"]) == (95.0, 80.0, 1)


def test_a_liquidation_and_a_target_in_one_bar_by_hand() -> None:
    rules = FREE._replace(leverage=5.0, maintenance_rate=0.125, take_profit_rate=0.25)
    first, last = traded_bar([100, 126, 80, 100], rules), traded_bar([100, 80, 126, 100], rules)
    assert (first["reason"], REASONS[int(last["reason"])]) == (TARGET, "liquidation")
    assert last["exit_fill"] == pytest.approx(80 / 0.875)


def test_a_short_is_the_mirror_of_a_long() -> None:
    bars = market([*ENTERED, (1.0, 1.0, 1.0, 1.0)], [4, 0, 0])
    for path, reason, fill in (([100, 74, 113], TARGET, 75.0), ([100, 113, 74], STOP, 112.5)):
        _, _, _, trades = run_traded(of_paths(bars, [[100.0], [100.0], path]), BOTH)
        assert (trades.reason[0], trades.exit_fill[0]) == (reason, fill)


GAPS = [[100.0], [100.0], [126.0, 130.0]]


def test_a_target_that_a_bar_opens_beyond_fills_there_by_bars_and_at_its_price_by_trades() -> None:
    """It rested at 125, and the first trade of the bar went through it at 126."""
    bars = market([*ENTERED, (1.0, 1.0, 1.0, 1.0)], [1, 0, 0])
    for fills, expected in ((False, 126.0), (True, 125.0)):
        _, _, _, trades = run_traded(of_paths(bars, GAPS), BOTH, fills=fills)
        assert (trades.reason[0], trades.exit_fill[0]) == (TARGET, expected)
    _, _, _, alone = Opener(of_paths(bars, GAPS).market.prices(), fills=True).full(changes(bars.signal), BOTH)
    assert alone.exit_fill[0] == 126.0  # without trades there is nothing to fill by


def test_an_entry_that_rested_fills_at_its_limit_by_trades_and_the_trade_can_stop_it_out() -> None:
    bars = market([*flat(100, 100, 100, 100)], [1, 0, 0, 0])
    rules = FREE._replace(limit_bars=3, limit_rate=0.05, stop_loss_rate=0.125)
    for path, fills, fill, left in (
        ([90.0, 92.0], False, 90.0, None), ([90.0, 92.0], True, 95.0, None), ([80.0, 92.0], True, 95.0, 80.0),
    ):  # fmt: skip
        _, _, _, trades = run_traded(of_paths(bars, [[100.0], [100.0], path, [92.0]]), rules, fills=fills)
        assert (trades.entry_bar[0], trades.entry_fill[0]) == (2, fill)
        assert left is None or (trades.reason[0], trades.exit_fill[0], trades.exit_bar[0]) == (STOP, left, 2)
