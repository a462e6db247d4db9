"""Laws that hold between a run and a changed run: RELIABILITY.md section 4, by their numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.backtest.domain.account import account_rules as request_rules
from services.backtest.kernels.engine import run_summary
from services.backtest.kernels.types import SIGNAL, STOP
from tests.services.backtest.markets import FREE, START_US, Market, account_rules, changes, markets, run
from tickloom.contracts.backtest import BacktestRequest
from tickloom.strategy.rules import Rules

many = settings(max_examples=200, deadline=None)


@many
@given(market=markets(), rules=account_rules(), power=st.integers(-8, 8))
def test_m1_prices_times_a_power_of_two_leave_every_amount_of_money_bit_for_bit(
    market: Market, rules: Rules, power: int
) -> None:
    _, _, curve, trades = run(market, rules)
    _, _, scaled, scaled_trades = run(market.with_prices(2.0**power), rules)
    np.testing.assert_array_equal(scaled.equity, curve.equity)
    np.testing.assert_array_equal(scaled_trades.pnl, trades.pnl)
    np.testing.assert_array_equal(scaled_trades.quantity * 2.0**power, trades.quantity)


@many
@given(market=markets(), rules=account_rules(stops=False))
def test_m1_prices_times_ten_leave_every_amount_of_money(market: Market, rules: Rules) -> None:
    _, _, curve, _ = run(market, rules)
    _, _, scaled, _ = run(market.with_prices(10.0), rules)
    np.testing.assert_allclose(scaled.equity, curve.equity, rtol=1e-12, atol=1e-8)


@many
@given(market=markets(), rules=account_rules(), power=st.integers(-8, 8))
def test_m2_money_times_a_power_of_two_leaves_every_return(market: Market, rules: Rules, power: int) -> None:
    _, _, curve, _ = run(market, rules)
    _, _, scaled, _ = run(market, rules._replace(initial_cash=rules.initial_cash * 2.0**power))
    np.testing.assert_array_equal(scaled.equity, curve.equity * 2.0**power)


@many
@given(market=markets(), rules=account_rules(), days=st.integers(0, 3000))
def test_m3_whole_days_later_is_the_same_run(market: Market, rules: Rules, days: int) -> None:
    later = replace(market, ts_close=market.ts_close + days * 86_400_000_000)
    (_, daily, _, trades), (_, later_daily, _, later_trades) = run(market, rules), run(later, rules)
    np.testing.assert_array_equal(daily, later_daily)
    np.testing.assert_array_equal(trades.pnl, later_trades.pnl)


@many
@given(
    market=markets(),
    rules=account_rules(stops=False),
    extra=st.integers(1, 20),
    what=st.sampled_from(["commission_rate", "slippage_rate"]),
)
def test_m4_a_higher_cost_never_leaves_more_equity(market: Market, rules: Rules, extra: int, what: str) -> None:
    dearer = rules._replace(**{what: getattr(rules, what) + extra / 1024})
    _, _, cheap, _ = run(market, rules)
    _, _, dear, _ = run(market, dearer)
    assume((dear.equity > 0).all())  # a ruined account stops trading, and so stops losing
    assert (dear.cash + dear.position * market.close <= cheap.equity * (1 + 1e-12)).all()


@many
@given(market=markets(), rules=account_rules(costs=False, stops=False))
def test_m5_mirrored_prices_and_sides_earn_the_same_per_unit_at_no_cost(market: Market, rules: Rules) -> None:
    _, _, _, trades = run(market, rules)
    _, _, _, mirrored = run(market.with_prices(-1.0, base=200.0).mirrored(), rules)
    n = min(trades.side.size, mirrored.side.size)  # either account may be ruined earlier than the other
    assert n == trades.side.size == mirrored.side.size or min(trades.pnl.min(), mirrored.pnl.min()) < 0
    np.testing.assert_allclose((mirrored.pnl / mirrored.quantity)[:n], (trades.pnl / trades.quantity)[:n], atol=1e-9)
    np.testing.assert_array_equal(mirrored.side[:n], -trades.side[:n])


@many
@given(market=markets(masks=(0, 2, 8, 10, 3, 12, 15)), rules=account_rules())
def test_m6_no_entry_leaves_the_equity_flat_and_pays_nothing(market: Market, rules: Rules) -> None:
    outcome, daily, curve, trades = run(market, rules)
    assert (curve.equity == rules.initial_cash).all()
    assert (daily == rules.initial_cash).all()
    assert outcome.n_trades == trades.side.size == 0
    assert outcome.tally.fees == 0
    assert outcome.max_drawdown == 0


@many
@given(market=markets(), rules=account_rules(stops=False))
def test_m7_buy_and_hold_is_its_closed_form(market: Market, rules: Rules) -> None:
    assume(market.close.size > 1)
    rules = rules._replace(fraction=1.0)
    _, _, curve, _ = run(replace(market, signal=(np.arange(market.close.size) == 0).astype(np.int8)), rules)
    fill = market.open[1] * (1 + rules.slippage_rate) * (1 + rules.commission_rate)
    np.testing.assert_allclose(curve.equity[1:], rules.initial_cash / fill * market.close[1:], rtol=1e-12)


@many
@given(
    market=markets(),
    rules=account_rules(),
    signals=st.lists(st.integers(0, 2**32), min_size=2, max_size=8),
    order=st.randoms(),
)
def test_m14_a_parameter_set_gives_the_same_result_alone_or_among_others(
    market: Market, rules: Rules, signals: list[int], order: object
) -> None:
    prices = market.prices()
    random = [np.random.default_rng(seed).integers(0, 16, market.close.size).astype(np.int8) for seed in signals]
    grid = [changes(mask) for mask in random]
    alone = {k: run_summary(prices, signal, rules) for k, signal in enumerate(grid)}
    shuffled = list(range(len(grid)))
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    for k in shuffled:
        outcome, daily = run_summary(prices, grid[k], rules)
        assert outcome == alone[k][0]
        assert np.array_equal(daily, alone[k][1])


@many
@given(market=markets(), rules=account_rules())
def test_m15_a_stop_fills_no_better_than_the_stop_and_no_better_than_the_open(market: Market, rules: Rules) -> None:
    _, _, _, trades = run(market, rules)
    for k in np.flatnonzero(trades.reason == STOP):
        side, opened = int(trades.side[k]), market.open[trades.exit_bar[k]]
        stop = trades.entry_fill[k] * (1 - side * rules.stop_loss_rate)
        worst = min(stop, opened) if side > 0 else max(stop, opened)
        assert trades.exit_fill[k] == worst * (1 - side * rules.slippage_rate)
        gap = max(0.0, side * (stop - opened)) / trades.entry_fill[k]
        lost = -side * (trades.exit_fill[k] / trades.entry_fill[k] - 1)
        assert lost <= rules.stop_loss_rate + gap + rules.slippage_rate * (1 + rules.stop_loss_rate + gap) + 1e-12


@many
@given(market=markets(), rules=account_rules(stops=False), price=st.integers(1, 10_000))
def test_m17_a_price_that_never_moves_earns_minus_the_costs(market: Market, rules: Rules, price: int) -> None:
    still = np.full(market.close.size, float(price))
    outcome, _, _, trades = run(replace(market, open=still, high=still, low=still, close=still), rules)
    slippage = (trades.quantity * still[0] * rules.slippage_rate) * np.where(trades.reason == SIGNAL, 2, 1)
    assert outcome.equity - rules.initial_cash == pytest.approx(-outcome.tally.fees - slippage.sum(), abs=1e-7)


@many
@given(market=markets(), half=st.integers(0, 8), rest=st.integers(0, 8))
def test_m18_a_cost_is_the_same_however_it_is_told_as_spread_or_as_slippage(
    market: Market, half: int, rest: int
) -> None:
    told = BacktestRequest(slippage_rate=rest / 1024, spread_rate=2 * half / 1024, stop_loss_rate=1 / 64)
    other = BacktestRequest(slippage_rate=(rest + half) / 1024, stop_loss_rate=1 / 64)
    np.testing.assert_array_equal(
        run(market, request_rules(told))[2].equity, run(market, request_rules(other))[2].equity
    )


@many
@given(market=markets(), rules=account_rules(costs=False, stops=False))
def test_m19_inverted_signals_negate_the_pnl_per_unit_at_no_cost(market: Market, rules: Rules) -> None:
    rules = rules._replace(fraction=0.125)  # so that neither account can be ruined
    _, _, _, trades = run(market, rules)
    _, _, _, inverted = run(market.mirrored(), rules)
    np.testing.assert_array_equal(inverted.entry_bar, trades.entry_bar)
    np.testing.assert_array_equal(inverted.exit_bar, trades.exit_bar)
    np.testing.assert_allclose(inverted.pnl / inverted.quantity, -trades.pnl / trades.quantity, rtol=1e-9, atol=1e-9)


@many
@given(market=markets(), rules=account_rules())
def test_m24_data_after_the_last_exit_is_not_needed_for_the_trades(market: Market, rules: Rules) -> None:
    _, _, _, trades = run(market, rules)
    closed = trades.exit_bar[trades.exit_bar >= 0]
    assume(closed.size)
    _, _, _, shorter = run(market.head(int(closed[-1]) + 1), rules)
    for ours, theirs in zip(shorter, trades, strict=True):
        np.testing.assert_array_equal(ours[: closed.size], theirs[: closed.size])


@pytest.mark.parametrize("what", ["random", "momentum", "reversion"])
def test_m20_no_signal_earns_anything_on_a_martingale_at_no_cost(what: str) -> None:
    """A thousand seeds: the mean is within four standard errors of nothing. With a fill that looks ahead it is not."""
    rng, gained = np.random.default_rng(20), []
    for _ in range(1000):
        steps = np.where(rng.random(400) < 0.5, 1.01, 0.99)  # of 1 on average: open to close, close to open
        path = 100.0 * np.cumprod(steps)
        open_, close = path[::2], path[1::2]
        up = close > open_
        side = {"random": rng.random(200) < 0.5, "momentum": up, "reversion": ~up}[what]
        signal = np.where(side, 1 | 8, 4 | 2).astype(np.int8)  # in one way or the other, always
        bars = Market(open_, np.maximum(open_, close), np.minimum(open_, close), close,
                      START_US + 3_600_000_000 * np.arange(200), signal)  # fmt: skip
        gained.append(run(bars, FREE._replace(fraction=1 / 64))[0].equity - FREE.initial_cash)
    assert np.std(gained) > 1
    assert abs(np.mean(gained)) < 4 * np.std(gained, ddof=1) / np.sqrt(1000)


def test_the_laws_are_not_empty_a_busy_market_trades_and_stops() -> None:
    rng = np.random.default_rng(7)
    close = 100 + rng.integers(-40, 40, 500) / 8
    market = Market(
        close, close + 1, close - 1, close, np.arange(500) * 3_600_000_000 + 1, rng.integers(0, 16, 500).astype(np.int8)
    )
    _, _, _, trades = run(market, FREE._replace(stop_loss_rate=1 / 64))
    assert {0, 1} <= set(trades.reason.tolist())
    assert {-1, 1} == set(trades.side.tolist())
