"""The engine of many symbols: against its twin in fractions, the identities (C3), look-ahead (C1), the limits (m22)."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.backtest.kernels.portfolio import PortfolioRun
from services.backtest.kernels.portfolio_types import (
    BY_LIQUIDATION,
    BY_MARGIN,
    BY_SIGNAL,
    GROSS,
    GROSS_AT_FILL,
    HALT_DAILY_LOSS,
    HALT_DRAWDOWN,
    HALT_MARGIN,
    HOLDINGS,
    NET,
    NET_AT_FILL,
    RESUMED,
    STILL_OPEN,
    VOLATILITY_TARGET,
    WEIGHT,
    Plan,
)
from tests.services.backtest.markets import markets
from tests.services.backtest.markets import run as run_single
from tests.services.backtest.portfolios import (
    FREE,
    HOUR_US,
    WHOLE,
    Symbol,
    books,
    plans,
    rules_of,
    run,
    run_naively,
    symbol,
)
from tickloom.kernel import plain
from tickloom.strategy.pricing import entry_quantity, sized
from tickloom.strategy.rules import BY_NOTIONAL, Rules

REASONS = ("signal", "rebalance", "drawdown", "daily_loss", "margin", "open", "liquidation")
LIMITS = {
    WEIGHT: "max_weight", HOLDINGS: "floor_weight", GROSS: "max_gross", NET: "max_net", RESUMED: "resumed",
    GROSS_AT_FILL: "max_gross at the fill", NET_AT_FILL: "max_net at the fill", HALT_DRAWDOWN: "drawdown",
    HALT_DAILY_LOSS: "daily_loss", HALT_MARGIN: "margin",
}  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(books, rules_of(), plans())
def test_it_equals_the_twin_in_fractions(symbols: list[Symbol], rules: Rules, plan: Plan) -> None:
    found, twin = run(symbols, rules, plan), run_naively(symbols, rules, plan)
    offset = np.cumsum([0, *(one.close.size for one in symbols)])
    fills = found.fills
    assert [REASONS[why] for why in fills.reason] == [fill["reason"] for fill in twin.fills]
    assert fills.symbol.tolist() == [fill["symbol"] for fill in twin.fills]
    assert (fills.bar - offset[fills.symbol]).tolist() == [fill["bar"] for fill in twin.fills]
    assert fills.side.tolist() == [fill["side"] for fill in twin.fills]
    for name in ("quantity", "price", "fee"):
        expected = [float(fill[name]) for fill in twin.fills]
        np.testing.assert_allclose(getattr(fills, name), expected, rtol=1e-9, atol=1e-9)
    assert found.curve.ts.tolist() == [row["ts"] for row in twin.curve]
    for name in ("equity", "cash", "gross"):
        expected = [float(row[name]) for row in twin.curve]
        np.testing.assert_allclose(getattr(found.curve, name), expected, rtol=1e-9, atol=1e-6)
    told = zip(found.events.ts.tolist(), (LIMITS[limit] for limit in found.events.limit), strict=True)
    assert list(told) == twin.events


@settings(max_examples=100, deadline=None)
@given(books, rules_of(), plans())
def test_c3_the_books_balance_at_every_close(symbols: list[Symbol], rules: Rules, plan: Plan) -> None:
    found = run(symbols, rules, plan)
    curve, fills, trades = found.curve, found.fills, found.trades
    near = {"rtol": 1e-9, "atol": 1e-9 * rules.initial_cash}
    np.testing.assert_allclose(curve.cash + curve.net, curve.equity, **near)
    assert (np.abs(curve.net) <= curve.gross + 1e-6).all()
    np.testing.assert_allclose(trades.pnl.sum(), curve.equity[-1] - rules.initial_cash, **near)
    np.testing.assert_allclose(trades.fees.sum(), fills.fee.sum(), **near)
    np.testing.assert_allclose(trades.slippage.sum(), fills.slippage.sum(), **near)
    np.testing.assert_allclose(fills.fee, fills.quantity * fills.price * rules.commission_rate, **near)
    paid = (fills.side * fills.quantity * fills.price + fills.fee).sum()
    np.testing.assert_allclose(curve.cash[-1], rules.initial_cash - paid, **near)
    for s in range(len(symbols)):
        moved = (fills.side * fills.quantity)[fills.symbol == s].sum()
        np.testing.assert_allclose(curve.position[-1, s], moved, rtol=1e-9, atol=1e-9)
    assert (trades.reason == STILL_OPEN).sum() == curve.n_held[-1]


@settings(max_examples=80, deadline=None)
@given(books, rules_of(), plans(), st.integers(0, 30))
def test_c1_nothing_at_a_moment_depends_on_a_later_one(
    symbols: list[Symbol], rules: Rules, plan: Plan, at: int
) -> None:
    whole = run(symbols, rules, plan)
    cut = int(whole.curve.ts[min(at, whole.curve.ts.size - 1)])
    early = [one.until(cut) for one in symbols]
    known = [k for k, one in enumerate(early) if one.close.size]
    found = run([early[k] for k in known], rules, plan)
    n = int((whole.curve.ts <= cut).sum())
    assert n == (found.curve.ts <= cut).sum()
    for name in ("ts", "equity", "cash", "gross", "net", "n_held"):
        assert getattr(found.curve, name)[:n].tolist() == getattr(whole.curve, name)[:n].tolist(), name
    assert found.curve.position[:n].tolist() == whole.curve.position[:n][:, known].tolist()
    told = (found.events.ts <= cut).sum()
    assert found.events.limit[:told].tolist() == whole.events.limit[: (whole.events.ts <= cut).sum()].tolist()


@settings(max_examples=200, deadline=None)
@given(books, rules_of(), plans())
def test_m13_a_symbol_that_is_never_traded_changes_nothing(symbols: list[Symbol], rules: Rules, plan: Plan) -> None:
    plan = plan._replace(weighting=plan.weighting % 2)  # a target of volatility is shared by all
    one = symbols[0]
    high, low = np.maximum(one.high, one.close.max()), np.minimum(one.low, one.close.min())
    watched = replace(one, mask=np.zeros_like(one.mask), close=one.close[::-1].copy(), high=high, low=low)
    alone, together = run(symbols, rules, plan), run([*symbols, watched], rules, plan)
    for name in ("ts", "equity", "cash", "gross", "net", "n_held"):
        assert getattr(together.curve, name).tolist() == getattr(alone.curve, name).tolist(), name
    for ours, theirs in zip(together.fills, alone.fills, strict=True):
        assert ours.tolist() == theirs.tolist()


@settings(max_examples=200, deadline=None)
@given(books, rules_of(), plans())
def test_m22_no_fill_that_makes_a_position_larger_leaves_a_limit_behind(
    symbols: list[Symbol], rules: Rules, plan: Plan
) -> None:
    twin = run_naively(symbols, rules, plan)
    size = [0.0] * len(symbols)
    for fill in twin.fills:
        s, before = fill["symbol"], size[fill["symbol"]]
        size[s] += float(fill["side"] * fill["quantity"])
        if abs(size[s]) <= abs(before) + 1e-12:
            continue
        worth = abs(size[s]) * float(symbols[s].open[fill["bar"]])
        assert fill["gross"] <= plan.max_gross * fill["equity"] * (1 + 1e-9)
        assert worth <= min(plan.max_weight, plan.floor_weight) * float(fill["equity"]) * (1 + 1e-9)
    if rules.lot_step == 0 and rules.min_notional == 0:  # rounding to lots can take one leg and leave the other
        for before, after, equity in twin.enlarged:
            assert abs(after) <= max(plan.max_net * equity, abs(before)) * (1 + 1e-9)


@settings(max_examples=80, deadline=None)
@given(books, rules_of(), plans())
def test_without_shorts_and_leverage_cash_is_never_below_zero(symbols: list[Symbol], rules: Rules, plan: Plan) -> None:
    longs = [replace(one, mask=(one.mask & 3).astype(np.int8)) for one in symbols]
    found = run(longs, rules, plan._replace(max_gross=min(plan.max_gross, 1.0)))
    assert (found.curve.cash >= -1e-9 * rules.initial_cash).all()


@settings(max_examples=60, deadline=None)
@given(books, rules_of(), plans(), st.randoms(use_true_random=False))
def test_the_order_of_the_symbols_changes_nothing_but_rounding(
    symbols: list[Symbol], rules: Rules, plan: Plan, random: object
) -> None:
    order = list(range(len(symbols)))
    random.shuffle(order)  # type: ignore[attr-defined]
    plain, moved = run(symbols, rules, plan), run([symbols[k] for k in order], rules, plan)
    np.testing.assert_allclose(moved.curve.equity, plain.curve.equity, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(moved.curve.position, plain.curve.position[:, order], rtol=1e-9, atol=1e-9)
    assert moved.fills.price.size == plain.fills.price.size


@settings(max_examples=80, deadline=None)
@given(markets(masks=(0, 0, 1, 2, 3)), rules_of())
def test_one_symbol_of_full_weight_is_the_engine_of_one_symbol(market, rules: Rules) -> None:
    rules = rules._replace(maintenance_rate=0.0, lot_step=0.0, min_notional=0.0)
    # Orders are sized at the close: where the next bar opens there, both engines buy for all of the cash.
    opened = np.concatenate([market.open[:1], market.close[:-1]])
    market = replace(market, open=opened, high=np.maximum(opened, market.close), low=np.minimum(opened, market.close))
    outcome, _, curve, trades = run_single(market, rules)
    ts_open = np.concatenate([[market.ts_close[0]], market.ts_close[:-1]])
    none = np.full(opened.size, np.nan)
    one = Symbol(ts_open, market.ts_close, opened, market.high, market.low, market.close, market.signal, none)
    found = run([one], rules)
    np.testing.assert_allclose(found.curve.equity, curve.equity, rtol=1e-9)
    assert found.trades.entry_bar.tolist() == trades.entry_bar.tolist()
    assert found.trades.exit_bar.tolist() == trades.exit_bar.tolist()
    np.testing.assert_allclose(found.trades.quantity, trades.quantity, rtol=1e-9)
    np.testing.assert_allclose(found.trades.pnl, trades.pnl, rtol=1e-9, atol=1e-6)
    assert found.held_us == outcome.tally.held_us


def flat(mask: list[int], price: float = 100.0) -> Symbol:
    return symbol([price] * len(mask), [price] * len(mask), mask)


def test_an_account_by_hand() -> None:
    """10,000; two symbols; 0.1 % commission. A is bought at 100, B joins two bars later and takes half."""
    a = symbol([100, 100, 110, 120, 120], [100, 110, 120, 120, 120], [1, 0, 0, 0, 0])
    b = symbol([50, 50, 50, 40, 50], [50, 50, 40, 50, 50], [0, 1, 0, 0, 0])
    found = run([a, b], FREE._replace(commission_rate=1 / 1024))
    bought = 10_000 / (100 * (1 + 1 / 1024))
    assert found.fills.symbol.tolist() == [0, 0, 1]
    assert found.fills.side.tolist() == [1, -1, 1]
    assert found.fills.quantity[0] == pytest.approx(bought)
    # At the close of bar 1 A is worth all of the equity; half of it is sold at the next open, at 110.
    equity = bought * 110
    assert found.fills.quantity[1] == pytest.approx(bought / 2)
    left = equity / 2 - equity / 2 / 1024
    assert found.fills.quantity[2] == pytest.approx(left / (50 * (1 + 1 / 1024)))
    assert found.curve.cash[-1] == pytest.approx(0.0, abs=1e-6)


def test_m23_weights_that_are_what_they_shall_be_send_no_order() -> None:
    found = run([flat([1, 0, 0, 0, 0, 0]), flat([1, 0, 0, 0, 0, 0], 7.0)], plan=WHOLE._replace(every_us=HOUR_US))
    assert found.fills.bar.tolist() == [1, 7]


def test_a_symbol_without_a_bar_keeps_its_last_price_and_its_order_waits() -> None:
    a = symbol([100] * 4, [100] * 4, [1, 0, 0, 0], hours=[1, 4, 5, 6])
    b = symbol([10] * 6, [10] * 6, [0, 0, 0, 0, 0, 0])
    found = run([a, b])
    assert found.curve.n_held.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.curve.equity.tolist() == [10_000.0] * 6


def test_a_symbol_that_is_listed_later_shares_from_then_on() -> None:
    late = symbol([20] * 3, [20] * 3, [1, 0, 0], hours=[4, 5, 6])
    plan = WHOLE._replace(weighting=VOLATILITY_TARGET, target=0.5, every_us=HOUR_US)
    found = run([flat([1, 0, 0, 0, 0, 0]), late], plan=plan)
    weights = found.curve.position * np.array([100.0, 20.0]) / 10_000
    np.testing.assert_allclose(weights, [[0, 0], [1, 0], [1, 0], [1, 0], [0.5, 0.5], [0.5, 0.5]], atol=1e-12)


@pytest.mark.parametrize(
    ("change", "weights", "limit"),
    [
        ({"max_weight": 0.25}, [0.25, 0.25, -0.25], WEIGHT),
        ({"floor_weight": 0.2}, [0.2, 0.2, -0.2], HOLDINGS),
        ({"max_gross": 0.6}, [0.2, 0.2, -0.2], GROSS),
        ({"max_net": 0.0}, [1 / 6, 1 / 6, -1 / 3], NET),
    ],
)
def test_a_limit_cuts_the_weights_and_says_so(change: dict[str, float], weights: list[float], limit: int) -> None:
    found = run([flat([1, 0, 0]), flat([1, 0, 0]), flat([4, 0, 0])], plan=WHOLE._replace(**change))
    np.testing.assert_allclose(found.curve.position[-1] * 100 / 10_000, weights, atol=1e-12)
    assert found.events.limit.tolist() == [limit]


def falling(closes: list[float]) -> Symbol:
    return symbol(
        [closes[0], *closes[:-1]], closes, [1] * len(closes), hours=[24 * k for k in range(1, len(closes) + 1)]
    )


def limits_of(found: PortfolioRun) -> list[int]:
    return found.events.limit.tolist()


def test_a_drawdown_halts_for_ever_or_until_it_has_cooled_down() -> None:
    fall = falling([100, 100, 80, 79, 79, 79, 90])
    for_ever = run([fall], plan=WHOLE._replace(max_drawdown=0.2))
    assert (for_ever.curve.position[:, 0] > 0).tolist() == [False, True, True, False, False, False, False]
    assert limits_of(for_ever) == [HALT_DRAWDOWN]
    cooled = run([fall], plan=WHOLE._replace(max_drawdown=0.2, cooldown_us=48 * HOUR_US))
    assert (cooled.curve.position[:, 0] > 0).tolist() == [False, True, True, False, False, True, True]
    assert limits_of(cooled) == [HALT_DRAWDOWN, RESUMED]


def test_a_loss_of_a_day_halts_until_the_next_day() -> None:
    found = run([falling([100, 100, 93, 93, 93, 93])], plan=WHOLE._replace(max_daily_loss=0.05))
    assert (found.curve.position[:, 0] > 0).tolist() == [False, True, True, False, True, True]
    assert limits_of(found) == [HALT_DAILY_LOSS, RESUMED]


def borrowed(times: float, target: float | None = None) -> Plan:
    """An account that is spread over `times` its equity."""
    return WHOLE._replace(max_gross=times, target=target or times, max_weight=times, floor_weight=times, max_net=times)


def test_an_account_of_five_times_its_equity_is_liquidated_within_the_bar_that_falls_that_far() -> None:
    """100 units from 100 on 2,000: 8,000 borrowed. At p equity is 100 p - 8,000; 5 % of 100 p at 8,000 / 95."""
    wick = symbol([100] * 5, [100] * 5, [1] * 5, reach={2: 70})
    found = run([wick], FREE._replace(initial_cash=2_000.0, maintenance_rate=0.05), borrowed(5.0))
    assert found.fills.reason.tolist() == [BY_SIGNAL, BY_LIQUIDATION]
    assert found.fills.bar.tolist() == [1, 2]
    assert found.fills.price[1] == pytest.approx(8_000 / 95)
    assert found.curve.equity.tolist() == pytest.approx([2_000, 2_000, *[8_000 / 19] * 3])
    assert limits_of(found) == [HALT_MARGIN]
    assert found.held_us == 2 * HOUR_US


def test_all_symbols_go_to_their_worst_prices_at_once() -> None:
    """50 long from 100 to 80, 50 short from 100 to 140, on 1,500: after half of the way nothing is left."""
    long, short = (symbol([100] * 4, [100] * 4, [side] * 4, reach={2: at}) for side, at in ((1, 80.0), (4, 140.0)))
    found = run([long, short], FREE._replace(initial_cash=1_500.0), borrowed(10.0, 20 / 3))
    assert found.fills.quantity.tolist() == pytest.approx([50.0] * 4)
    assert found.fills.price.tolist() == pytest.approx([100.0, 100.0, 90.0, 120.0])
    assert found.curve.equity[-1] == pytest.approx(0.0, abs=1e-9)
    alone = run([long, flat([4] * 4)], FREE._replace(initial_cash=1_500.0), borrowed(10.0, 20 / 3))
    assert limits_of(alone) == []


def test_a_gap_beyond_the_margin_is_sold_at_the_open() -> None:
    gap = symbol([100, 100, 60, 60], [100, 100, 60, 60], [1] * 4)
    found = run([gap], FREE._replace(maintenance_rate=0.25), borrowed(2.0))
    assert found.fills.price.tolist() == [100.0, 60.0]
    assert found.fills.reason.tolist() == [BY_SIGNAL, BY_MARGIN]
    assert found.curve.n_held.tolist() == [0, 1, 0, 0]


def test_a_liquidation_leaves_symbols_without_a_bar_then_to_be_sold_at_their_next_opens() -> None:
    fallen = symbol([100] * 5, [100] * 5, [1] * 5, reach={2: 2})
    rare = symbol([100, 100, 90], [100, 100, 90], [1] * 3, hours=[1, 2, 5])
    found = run([fallen, rare], FREE._replace(maintenance_rate=0.05), borrowed(2.0))
    assert [REASONS[why] for why in found.fills.reason] == ["signal", "signal", "liquidation", "margin"]
    assert found.fills.symbol.tolist() == [0, 1, 0, 1]
    assert found.fills.price[-1] == 90.0


@settings(max_examples=200, deadline=None)
@given(books, rules_of(), plans(), st.sampled_from([1.0, 3.0]))
def test_what_a_liquidation_sells_is_worth_the_maintenance_and_lies_on_the_way_to_the_worst(
    symbols: list[Symbol], rules: Rules, plan: Plan, times: float
) -> None:
    plan = plan._replace(max_gross=times, target=times, max_weight=times, floor_weight=times, max_net=times)
    rules = rules._replace(slippage_rate=0.0, commission_rate=0.0)
    found = run(symbols, rules, plan)
    offset = np.cumsum([0, *(one.close.size for one in symbols)])
    sold = np.flatnonzero(found.fills.reason == BY_LIQUIDATION)
    for k in sold.tolist():
        one, bar = symbols[found.fills.symbol[k]], found.fills.bar[k] - offset[found.fills.symbol[k]]
        worst = one.low[bar] if found.fills.side[k] < 0 else one.high[bar]
        assert min(one.open[bar], worst) <= found.fills.price[k] <= max(one.open[bar], worst)
    calls = found.events.limit == HALT_MARGIN
    assert calls.sum() <= 1
    if sold.size:
        near = 1e-9 * max(1.0, np.abs(found.curve.equity).max())
        assert found.events.found[calls][0] == pytest.approx(found.events.allowed[calls][0], abs=near)


@settings(max_examples=200, deadline=None)
@given(markets(masks=(0, 1, 1, 1)), st.sampled_from([2.0, 3.0, 8.0]))
def test_one_symbol_that_borrows_is_liquidated_where_the_engine_of_one_symbol_liquidates_it(
    market, leverage: float
) -> None:
    # Without costs, for they leave another size to an order of the close than to one of the open.
    rules = FREE._replace(leverage=leverage, maintenance_rate=0.0573)  # no price of an eighth is right at the margin
    opened = np.concatenate([market.open[:1], market.close[:-1]])
    high, low = np.maximum(market.high, opened), np.minimum(market.low, opened)
    market = replace(market, open=opened, high=high, low=low)
    _, _, curve, trades = run_single(market, rules)
    ts_open = np.concatenate([[market.ts_close[0]], market.ts_close[:-1]])
    none = np.full(opened.size, np.nan)
    one = Symbol(ts_open, market.ts_close, opened, high, low, market.close, market.signal, none)
    found = run([one], rules, borrowed(leverage))
    if not trades.side.size:
        assert found.trades.pnl.size == 0
        return
    last = market.close.size if trades.exit_bar[0] < 0 else trades.exit_bar[0] + 1
    np.testing.assert_allclose(found.curve.equity[:last], curve.equity[:last], rtol=1e-7, atol=1e-6)
    assert found.trades.exit_bar.tolist() == trades.exit_bar[:1].tolist()
    np.testing.assert_allclose(found.trades.exit_fill, trades.exit_fill[:1], rtol=1e-9)


def test_a_gap_at_the_open_takes_all_orders_back_by_the_same_part() -> None:
    """Both were sized at 100; they open at 125, so four fifths of each are there to be had."""
    jump = symbol([100, 125, 125], [100, 125, 125], [1, 0, 0])
    found = run([jump, jump])
    np.testing.assert_allclose(found.fills.quantity, [40.0, 40.0])
    assert limits_of(found) == [GROSS_AT_FILL]


def test_bars_that_close_at_one_moment_are_one_decision() -> None:
    a, b = flat([1, 0, 0]), flat([1, 0, 0])
    found = run([a, b])
    np.testing.assert_allclose(found.fills.quantity, [50.0, 50.0])
    assert found.curve.ts.size == 3


@given(
    st.floats(0.001, 1e6), st.floats(0.01, 1e5), st.sampled_from([0.0, 0.1, 0.25, 3.0]),
    st.sampled_from([0.0, 10.0, 500.0]),
)  # fmt: skip
def test_lots_and_least_notionals_are_those_of_an_account_of_one_symbol(
    notional: float, fill: float, lot: float, least: float
) -> None:
    rules = FREE._replace(sizing=BY_NOTIONAL, fraction=notional, lot_step=lot, min_notional=least)
    entered = plain(entry_quantity)(rules, 1, 1e9, fill, 0.0, np.nan, 0.0)
    assert plain(sized)(rules, notional / fill, fill) == entered


def test_sales_come_before_purchases_whatever_the_order_of_the_symbols() -> None:
    found = run([flat([4, 8, 0]), flat([1, 2, 0])])
    assert list(zip(found.fills.symbol.tolist(), found.fills.side.tolist(), strict=True)) == [
        (0, -1), (1, 1), (1, -1), (0, 1),
    ]  # fmt: skip
