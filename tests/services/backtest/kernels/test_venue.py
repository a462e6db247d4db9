"""Limits, targets, trailing stops, lots, margin and impact: against the twin, by hand, and by law."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.backtest.kernels.types import LIQUIDATION, OPEN, SIGNAL, STOP, TARGET, TRAIL
from tests.services.backtest.kernels.test_engine import flat, market
from tests.services.backtest.markets import FREE, Market, assert_equals_twin, busy_markets, run, venue_rules
from tickloom.strategy.rules import BY_NOTIONAL, BY_RISK, SQUARE_ROOT, VOLUME_SHARE, Rules

many = settings(max_examples=200, deadline=None)
Bar = tuple[float, float, float, float]


@many
@given(market=busy_markets(), rules=venue_rules())
def test_trades_and_curve_equal_the_twin_in_fractions(market: Market, rules: Rules) -> None:
    assert_equals_twin(market, rules, atol=1e-7)


@many
@given(market=busy_markets(), rules=venue_rules())
def test_c3_the_books_balance_whatever_the_orders(market: Market, rules: Rules) -> None:
    outcome, _, curve, trades = run(market, rules)
    np.testing.assert_array_equal(curve.cash + curve.position * market.close, curve.equity)
    scale = max(1.0, np.abs(curve.equity).max())
    assert trades.pnl.sum() == pytest.approx(outcome.equity - rules.initial_cash, abs=1e-9 * scale)
    assert trades.fees.sum() == pytest.approx(outcome.tally.fees, abs=1e-9 * scale)
    assert (trades.quantity > 0).all()
    # Of the open trade alone, if there is one: adding the others and taking them away again would round.
    assert outcome.position == (trades.side * trades.quantity)[trades.reason == OPEN].sum()


@settings(max_examples=200, deadline=None)
@given(market=busy_markets(), rules=venue_rules(), data=st.data())
def test_c1_what_comes_later_changes_nothing_before(market: Market, rules: Rules, data: st.DataObject) -> None:
    _, _, curve, trades = run(market, rules)
    near = {int(bar) + 1 for bar in (*trades.entry_bar, *trades.exit_bar) if bar >= 0} | {1, market.close.size}
    for n in (data.draw(st.sampled_from(sorted(near))), data.draw(st.integers(1, market.close.size))):
        _, _, shorter, kept = run(market.head(n), rules)
        np.testing.assert_array_equal(shorter.equity, curve.equity[:n])
        done = int((kept.reason != OPEN).sum())
        for name in ("entry_bar", "exit_bar", "quantity", "entry_fill", "exit_fill", "pnl", "reason"):
            np.testing.assert_array_equal(getattr(kept, name)[:done], getattr(trades, name)[:done])


@many
@given(market=busy_markets(), rules=venue_rules())
def test_m16_without_slippage_every_fill_lies_within_its_bar(market: Market, rules: Rules) -> None:
    rules = rules._replace(slippage_rate=0.0, impact_kind=0)
    _, _, _, trades = run(market, rules)
    done = trades.reason != OPEN
    for bars, fills in ((trades.entry_bar, trades.entry_fill), (trades.exit_bar[done], trades.exit_fill[done])):
        assert (fills >= market.low[bars]).all()
        assert (fills <= market.high[bars]).all()


@many
@given(market=busy_markets(), rules=venue_rules())
def test_m22_an_entry_never_exceeds_the_leverage_nor_a_lot_nor_the_least_notional(market: Market, rules: Rules) -> None:
    _, _, curve, trades = run(market, rules)
    before = curve.equity[trades.entry_bar - 1] if trades.side.size else np.empty(0)
    is_flat = curve.position[trades.entry_bar - 1] == 0 if trades.side.size else np.empty(0, bool)
    notional = trades.quantity * trades.entry_fill
    assert (notional[is_flat] <= rules.leverage * before[is_flat] * (1 + 1e-6)).all()
    assert (notional >= rules.min_notional).all()
    if rules.lot_step:
        np.testing.assert_allclose(trades.quantity / rules.lot_step, np.round(trades.quantity / rules.lot_step))


@many
@given(market=busy_markets(), rules=venue_rules())
def test_m15_a_stop_is_never_better_and_a_target_never_worse_than_its_price(market: Market, rules: Rules) -> None:
    rules = rules._replace(slippage_rate=0.0, impact_kind=0)
    _, _, _, trades = run(market, rules)
    for k in range(trades.side.size):
        side, entry, fill = int(trades.side[k]), trades.entry_fill[k], trades.exit_fill[k]
        if trades.reason[k] == STOP:
            stop = entry * (1 - side * rules.stop_loss_rate)
            if rules.stop_multiple and market.unit is not None:
                # A limit may have rested since any of the bars before.
                signalled = market.unit[max(trades.entry_bar[k] - max(rules.limit_bars, 1), 0) : trades.entry_bar[k]]
                stop = entry - side * rules.stop_multiple * signalled[signalled > 0].min()
            assert side * fill <= side * stop
        if trades.reason[k] == TARGET:
            assert side * fill >= side * entry * (1 + side * rules.take_profit_rate)


@many
@given(market=busy_markets(), rules=venue_rules())
def test_an_order_too_small_for_the_venue_leaves_no_trace(market: Market, rules: Rules) -> None:
    _, _, curve, trades = run(market, rules._replace(min_notional=1e12))
    assert trades.side.size == 0
    assert (curve.equity == rules.initial_cash).all()


def scaled(market: Market, *, price: float, quantity: float) -> Market:
    """The same market in other units of quote and base."""
    assert market.volume is not None
    return replace(market.with_prices(price), volume=market.volume * quantity)


@many
@given(market=busy_markets(), rules=venue_rules(), power=st.integers(-6, 6))
def test_m1_another_unit_of_the_base_is_the_same_run_bit_for_bit(market: Market, rules: Rules, power: int) -> None:
    unit = 2.0**power
    _, _, curve, trades = run(market, rules)
    other = rules._replace(lot_step=rules.lot_step / unit)
    _, _, scaled_curve, scaled_trades = run(scaled(market, price=unit, quantity=1 / unit), other)
    np.testing.assert_array_equal(scaled_curve.equity, curve.equity)
    np.testing.assert_array_equal(scaled_trades.quantity * unit, trades.quantity)
    np.testing.assert_array_equal(scaled_trades.reason, trades.reason)


@many
@given(market=busy_markets(), rules=venue_rules(), power=st.integers(-6, 6))
def test_m2_another_unit_of_the_money_is_the_same_run_bit_for_bit(market: Market, rules: Rules, power: int) -> None:
    unit = 2.0**power
    size = rules.fraction * unit if rules.sizing == BY_NOTIONAL else rules.fraction
    other = rules._replace(
        initial_cash=rules.initial_cash * unit, fraction=size, min_notional=rules.min_notional * unit
    )
    _, _, curve, trades = run(market, rules)
    _, _, scaled_curve, scaled_trades = run(scaled(market, price=unit, quantity=1.0), other)
    np.testing.assert_array_equal(scaled_curve.equity, curve.equity * unit)
    np.testing.assert_array_equal(scaled_trades.quantity, trades.quantity)


@many
@given(market=busy_markets(), rules=venue_rules(), days=st.integers(0, 3000))
def test_m3_whole_days_later_is_the_same_run(market: Market, rules: Rules, days: int) -> None:
    later = replace(market, ts_close=market.ts_close + days * 86_400_000_000)
    np.testing.assert_array_equal(run(later, rules)[2].equity, run(market, rules)[2].equity)


@many
@given(market=busy_markets(), rules=venue_rules())
def test_m24_data_after_the_last_exit_are_not_needed_for_the_trades(market: Market, rules: Rules) -> None:
    _, _, _, trades = run(market, rules)
    closed = trades.exit_bar[trades.exit_bar >= 0]
    assume(closed.size)
    _, _, _, shorter = run(market.head(int(closed[-1]) + 1), rules)
    np.testing.assert_array_equal(shorter.pnl[: closed.size], trades.pnl[: closed.size])


def one(bars: list[Bar], signal: list[int], rules: Rules) -> dict[str, float]:
    """The only trade there is."""
    _, _, _, trades = run(market(bars, signal), rules)
    assert trades.side.size == 1
    return {name: column[0].item() for name, column in trades._asdict().items()}


def test_a_target_fills_at_its_price_and_pays_the_maker_rate() -> None:
    rules = FREE._replace(take_profit_rate=0.25, commission_rate=0.5, maker_rate=0.125, slippage_rate=0.0)
    trade = one([*flat(100, 100), (100, 130, 90, 110)], [1, 0, 0], rules)
    assert (trade["reason"], trade["exit_fill"]) == (TARGET, 125.0)
    assert trade["fees"] == trade["quantity"] * (100 * 0.5 + 125 * 0.125)


@pytest.mark.parametrize(
    ("bar", "reason", "fill"),
    [
        ((100, 125, 100, 110), OPEN, None),  # a touch is no fill
        ((130, 140, 120, 130), TARGET, 130.0),  # a gap fills at the open
        ((130, 140, 80, 90), TARGET, 130.0),  # and does so before anything else in its bar
        ((100, 130, 80, 100), STOP, 87.5),  # both inside one bar: the stop came first
    ],
)
def test_a_target_needs_the_price_to_trade_through_and_the_stop_goes_first(bar: Bar, reason: int, fill: float) -> None:
    trade = one([*flat(100, 100), bar], [1, 0, 0], FREE._replace(take_profit_rate=0.25, stop_loss_rate=0.125))
    assert trade["reason"] == reason
    assert fill is None or trade["exit_fill"] == fill


def test_a_trailing_stop_moves_at_the_close_by_the_bars_high() -> None:
    rules = FREE._replace(trailing_rate=0.25)
    bars = [*flat(100, 100), (100, 160, 90, 150), (150, 155, 121, 130), (130, 140, 119, 125)]
    trade = one(bars, [1, 0, 0, 0, 0], rules)
    assert (trade["exit_bar"], trade["reason"], trade["exit_fill"]) == (4, TRAIL, 120.0)


@pytest.mark.parametrize(
    ("bar", "fill", "fee_rate"),
    [
        ((90, 100, 85, 95), 90.0, 0.5),  # the first open satisfies it: it takes, there
        ((96, 100, 94.5, 95), 95.0, 0.125),  # trades through it: it makes, at the limit
    ],
)
def test_a_limit_entry_takes_at_the_first_open_or_makes_at_its_limit(bar: Bar, fill: float, fee_rate: float) -> None:
    rules = FREE._replace(limit_bars=2, limit_rate=0.05, commission_rate=0.5, maker_rate=0.125)
    trade = one([*flat(100), bar], [1, 0], rules)
    assert trade["entry_fill"] == fill
    assert trade["fees"] == pytest.approx(trade["quantity"] * fill * fee_rate)


def test_a_limit_that_rested_fills_at_a_better_open_as_a_maker() -> None:
    rules = FREE._replace(limit_bars=3, limit_rate=0.05, commission_rate=0.5, slippage_rate=0.25)
    trade = one([*flat(100, 100), (90, 95, 88, 92)], [1, 0, 0], rules)
    assert (trade["entry_bar"], trade["entry_fill"], trade["fees"]) == (2, 90.0, 0.0)


def test_a_limit_is_touched_in_vain_expires_and_is_cancelled_by_an_exit() -> None:
    rules = FREE._replace(limit_bars=2, limit_rate=0.05)
    touched: Bar = (100, 100, 95, 100)
    for bars, signal in (
        ([*flat(100), touched, touched, (94, 96, 90, 95)], [1, 0, 0, 0]),
        ([*flat(100, 100), (95, 100, 95, 100)], [1, 0, 0]),
        ([*flat(100, 100), (94, 96, 90, 95)], [1, 2, 0]),
    ):
        assert run(market(bars, signal), rules)[3].side.size == 0


def test_a_bar_entered_inside_reaches_its_target_by_its_close_alone() -> None:
    rules = FREE._replace(limit_bars=1, limit_rate=0.5, take_profit_rate=0.5)
    assert one([*flat(100), (100, 120, 40, 60)], [1, 0], rules)["reason"] == OPEN
    assert one([*flat(100), (100, 120, 40, 80)], [1, 0], rules)["exit_fill"] == 75.0


def test_a_bar_entered_inside_can_stop_out_at_the_stop_itself() -> None:
    trade = one(
        [*flat(100), (100, 120, 40, 60)], [1, 0], FREE._replace(limit_bars=1, limit_rate=0.5, stop_loss_rate=0.125)
    )
    assert (trade["entry_fill"], trade["exit_fill"], trade["reason"]) == (50.0, 43.75, STOP)


def test_a_leveraged_position_is_liquidated_where_equity_is_the_maintenance_margin() -> None:
    rules = FREE._replace(leverage=4.0, maintenance_rate=0.0625)
    _, _, curve, trades = run(market([*flat(100, 100), (100, 101, 70, 75), *flat(75)], [1, 0, 0, 0]), rules)
    assert trades.quantity[0] == 400.0
    assert trades.reason[0] == LIQUIDATION
    assert trades.exit_fill[0] == 80.0  # 400 * 80 = 32,000; owed 30,000; left 2,000 = 6.25 % of 32,000
    assert curve.equity[-1] == 2_000.0


def test_a_short_is_liquidated_too_and_never_without_a_maintenance_rate() -> None:
    bars = [*flat(100, 100), (100, 250, 100, 240)]
    trade = one(bars, [4, 0, 0], FREE._replace(maintenance_rate=0.25))
    assert (trade["reason"], trade["exit_fill"]) == (LIQUIDATION, 160.0)
    assert one(bars, [4, 0, 0], FREE)["reason"] == OPEN


def test_lots_are_rounded_down_and_a_tenth_three_times_is_three_tenths() -> None:
    assert one(flat(100, 99), [1, 0], FREE._replace(lot_step=1.0))["quantity"] == 101.0
    rules = FREE._replace(sizing=BY_NOTIONAL, fraction=30.0, lot_step=0.1)
    assert one(flat(100, 100), [1, 0], rules)["quantity"] == pytest.approx(0.3)


def test_an_entry_that_comes_to_less_than_the_venue_takes_is_refused_and_counted() -> None:
    outcome, _, _, trades = run(market(flat(100, 100, 100, 100), [1, 1, 0, 0]), FREE._replace(lot_step=101.0))
    assert (outcome.n_refused, trades.side.size) == (2, 0)


def test_risk_per_trade_loses_just_that_share_at_the_stop_costs_included() -> None:
    rules = Rules(10_000.0, 0.01, 0.001, 0.0005, 0.02, sizing=BY_RISK)
    trade = one([*flat(100, 100), (100, 100, 90, 95)], [1, 0, 0], rules)
    assert trade["reason"] == STOP
    assert trade["pnl"] == pytest.approx(-100.0)


@pytest.mark.parametrize(("kind", "moved"), [(VOLUME_SHARE, 0.25 * 0.1**2), (SQUARE_ROOT, None)])
def test_a_larger_share_of_the_volume_costs_more(kind: int, moved: float | None) -> None:
    bars = market(flat(100, 110, 100, 100), [0, 0, 1, 0])
    fills = []
    for volume in (1e3, 1e5):
        traded = Market(**{**bars.__dict__, "volume": np.full(4, volume)})
        fills.append(run(traded, FREE._replace(impact_kind=kind, impact=0.25, impact_cap=0.5))[3].entry_fill[0])
    assert fills[0] > fills[1] > 100
    if moved is not None:
        assert fills[0] == pytest.approx(100 * (1 + moved))


def test_no_volume_costs_the_cap() -> None:
    bars = Market(**{**market(flat(100, 100), [1, 0]).__dict__, "volume": np.zeros(2)})
    rules = FREE._replace(impact_kind=VOLUME_SHARE, impact=0.25, impact_cap=0.0625)
    assert run(bars, rules)[3].entry_fill[0] == 106.25


def test_the_reasons_all_occur_in_a_busy_market() -> None:
    rng = np.random.default_rng(5)
    close = 100 + np.cumsum(rng.integers(-8, 9, 4000)) / 64
    ts = np.arange(4000) * 3_600_000_000 + 1
    bars = Market(close, close + 1, close - 1, close, ts, rng.integers(0, 16, 4000).astype(np.int8))
    bars.signal[rng.random(4000) < 0.9] = 0
    careful = FREE._replace(fraction=1 / 64, take_profit_rate=1 / 64)
    seen = set(run(bars, careful._replace(trailing_rate=1 / 64))[3].reason.tolist())
    seen |= set(run(bars, careful._replace(stop_loss_rate=1 / 64))[3].reason.tolist())
    seen |= set(run(bars, FREE._replace(leverage=32.0, maintenance_rate=1 / 128))[3].reason.tolist())
    assert seen >= {SIGNAL, STOP, TARGET, TRAIL, LIQUIDATION}
