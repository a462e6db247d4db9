"""Every kind of order, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from tests.tickloom.strategy.worlds import FREE, HOUR_US, Act, Bar, Script, bars, play, prices
from tickloom.strategy.engine import Engine
from tickloom.strategy.examples import CrossParameters, ema_cross
from tickloom.strategy.feed import Trade
from tickloom.strategy.orders import BUY, SELL, Bracket, Fill, NoPriceYet, Order
from tickloom.strategy.rules import BY_RISK
from tickloom.strategy.signals import FollowSignals
from tickloom.strategy.strategy import Context


def enter(**options: object) -> Act:
    return lambda ctx: ctx.market(BUY, 1.0, **options)


def send(order: Order) -> Act:
    return lambda ctx: ctx.submit(order)


def test_a_market_order_fills_at_the_next_open() -> None:
    result = play(bars(100, (101, 110, 90, 105), 120), {0: enter()})
    assert prices(result) == [(1, BUY, 101.0)]
    assert result.performance.equity.tolist() == [10_000, 10_004, 10_019]


def test_an_order_sent_at_the_last_close_fills_nowhere() -> None:
    assert play(bars(100, 100), {1: enter()}).fills == []


@pytest.mark.parametrize(
    ("bar", "price"),
    [
        ((100, 111, 99, 105), 110.0),
        ((115, 116, 114, 115), 115.0),
        ((100, 110, 99, 105), 110.0),
        ((100, 109, 99, 105), None),
    ],
    ids=["within", "gap", "touch", "not reached"],
)
def test_a_buy_stop_fills_at_its_price_or_at_a_worse_open(bar: Bar, price: float | None) -> None:
    found = prices(play(bars(100, bar), {0: send(Order(BUY, "stop", 1.0, stop=110.0))}))
    assert found == ([] if price is None else [(1, BUY, price)])


@pytest.mark.parametrize(
    ("bar", "price"),
    [((100, 101, 94, 98), 95.0), ((100, 101, 95, 98), None), ((95, 96, 95, 96), None), ((93, 94, 92, 93), 93.0)],
    ids=["through", "touch", "touch at the open", "gap"],
)
def test_a_buy_limit_needs_the_price_to_trade_through(bar: Bar, price: float | None) -> None:
    found = prices(play(bars(100, 100, bar), {0: send(Order(BUY, "limit", 1.0, 95.0))}))
    assert found == ([] if price is None else [(2, BUY, price)])


def test_a_limit_takes_at_the_first_open_and_makes_later() -> None:
    rules = FREE._replace(commission_rate=0.5, maker_rate=0.25)
    took = play(bars(100, 94), {0: send(Order(BUY, "limit", 1.0, 95.0))}, rules).fills[0]
    made = play(bars(100, 100, 94), {0: send(Order(BUY, "limit", 1.0, 95.0))}, rules).fills[0]
    assert (took.price, took.fee, took.is_maker) == (94.0, 47.0, False)
    assert (made.price, made.fee, made.is_maker) == (94.0, 23.5, True)


def test_slippage_never_takes_a_limit_order_beyond_its_limit() -> None:
    order = Order(BUY, "limit", 1.0, 95.0)
    assert prices(play(bars(100, 94), {0: send(order)}, FREE._replace(slippage_rate=0.5))) == [(1, BUY, 95.0)]


@pytest.mark.parametrize(
    ("bar", "price"),
    [((100, 111, 99, 105), 110.0), ((115, 116, 111.5, 111.75), 112.0), ((115, 116, 111.5, 115), None)],
    ids=["at its trigger", "its close is beyond the limit", "its low may have come before"],
)
def test_a_stop_limit_becomes_a_limit_once_triggered(bar: Bar, price: float | None) -> None:
    found = prices(play(bars(100, bar), {0: send(Order(BUY, "stop_limit", 1.0, 112.0, 110.0))}))
    assert found == ([] if price is None else [(1, BUY, price)])


def test_a_stop_limit_that_was_triggered_rests() -> None:
    order = Order(BUY, "stop_limit", 1.0, 112.0, 110.0)
    assert prices(play(bars(100, (115, 116, 113, 115), (113, 114, 111, 113)), {0: send(order)})) == [(2, BUY, 112.0)]


def test_a_trailing_stop_follows_and_never_goes_back() -> None:
    order = Order(SELL, "trailing_stop", trailing_rate=0.25, reduce_only=True)
    market = bars(100, 100, (100, 160, 90, 150), (150, 155, 121, 130), (130, 140, 119, 125))
    found = prices(play(market, {0: enter(), 1: send(order)}))
    assert found == [(1, BUY, 100.0), (4, SELL, 120.0)]


def test_a_trailing_stop_sent_at_a_fill_begins_at_the_fill() -> None:
    order = Order(SELL, "trailing_stop", trailing_rate=0.0625, reduce_only=True)

    class Trails(Script):
        def on_fill(self, ctx: Context, fill: Fill) -> None:
            if fill.side > 0:
                ctx.submit(order)

    result = Engine(Trails({0: enter()}), bars(100, 200, (196, 197, 187, 189)), FREE).run()
    assert prices(result) == [(1, BUY, 200.0), (2, SELL, 187.5)]


def test_a_trailing_stop_before_the_first_price_says_so() -> None:
    class Early(Script):
        def on_start(self, ctx: Context) -> None:
            ctx.submit(Order(SELL, "trailing_stop", 1.0, trailing_rate=0.25, **self.options))

    early = Early({})
    early.options = {}
    with pytest.raises(NoPriceYet, match="no price yet"):
        Engine(early, bars(100, 50), FREE).run()
    early.options = {"stop": 75.0}
    assert prices(Engine(early, bars(100, 50), FREE).run()) == [(1, SELL, 50.0)]


def test_of_a_bracket_the_stop_goes_first_and_takes_the_target_along() -> None:
    result = play(bars(100, (100, 130, 80, 100), 200), {0: enter(bracket=Bracket(0.125, 0.25))})
    assert prices(result) == [(1, BUY, 100.0), (1, SELL, 87.5)]
    assert [fill.tag for fill in result.fills] == ["market", "stop"]


def test_each_bracket_of_a_pyramid_closes_the_share_of_its_own_entry() -> None:
    def pyramid(near: Bracket, far: Bracket, *last: Bar) -> list[tuple[int, int, float, float]]:
        acts: dict[int, Act] = {
            0: lambda ctx: ctx.market(BUY, 1.0, near), 1: lambda ctx: ctx.market(BUY, 2.0, far),
        }  # fmt: skip
        fills = play(bars(100, 100, 100, *last), acts).fills[2:]
        return [(f.bar, f.side, f.quantity, f.price) for f in fills]

    fallen = pyramid(Bracket(0.0625), Bracket(0.25), (100, 100, 90, 90), (90, 90, 70, 70))
    assert fallen == [(3, SELL, 1.0, 93.75), (4, SELL, 2.0, 75.0)]
    risen = pyramid(Bracket(0.0, 0.0625), Bracket(0.0, 0.25), (100, 110, 100, 110), (110, 130, 110, 130))
    assert risen == [(3, SELL, 1.0, 106.25), (4, SELL, 2.0, 125.0)]


def test_the_bracket_of_an_order_that_turned_the_position_closes_what_is_left_of_it() -> None:
    acts: dict[int, Act] = {
        0: lambda ctx: ctx.market(SELL, 2.0), 1: lambda ctx: ctx.market(BUY, 3.0, Bracket(0.0625)),
        2: lambda ctx: ctx.market(BUY, 1.0),
    }  # fmt: skip
    result = play(bars(100, 100, 100, 100, 90), acts)
    assert [(f.side, f.quantity) for f in result.fills[3:]] == [(SELL, 1.0)]
    assert result.portfolio.position == 1.0


def test_orders_of_one_group_cancel_each_other() -> None:
    low, high = Order(BUY, "limit", 1.0, 90.0, group=7), Order(BUY, "stop", 1.0, stop=110.0, group=7)
    result = play(
        bars(100, (100, 111, 99, 110), (110, 110, 80, 85)), {0: lambda ctx: (ctx.submit(low), ctx.submit(high))}
    )
    assert prices(result) == [(1, BUY, 110.0)]
    assert (low.status, low.reason) == ("cancelled", "another order of its group was filled")


@pytest.mark.parametrize(("kind", "above"), [("stop", BUY), ("limit", SELL)])
@pytest.mark.parametrize(
    ("opened", "close", "filled"),
    [(101.5, 97.5, 102.0), (98.5, 102.5, 98.0), (100.0, 103.0, 98.0), (100.0, 97.0, 102.0)],
    ids=["above is nearer", "below is nearer", "as near and it rose", "as near and it fell"],
)
def test_of_orders_on_either_side_the_nearest_to_the_open_fills_first(
    kind: str, above: int, opened: float, close: float, filled: float
) -> None:
    if kind == "limit" and opened == 100.0:
        filled = 200.0 - filled  # what a stop does against the close, a limit does with it
    pair = [Order(side, kind, 1.0, group=1, **{kind: price}) for side, price in ((above, 102.0), (-above, 98.0))]
    for orders in (pair, pair[::-1]):
        sent = [replace(order) for order in orders]
        bar = (opened, 103.0, 97.0, close)
        found = prices(play(bars(100, 100, bar), {0: lambda ctx, sent=sent: [ctx.submit(order) for order in sent]}))
        assert [price for _, _, price in found] == [filled]


def test_reduce_only_closes_no_more_than_there_is_and_opens_nothing() -> None:
    order = Order(SELL, "market", 5.0, reduce_only=True)
    result = play(bars(100, 100, 100, 100), {0: enter(), 1: send(order), 2: send(Order(SELL, reduce_only=True))})
    assert [(f.bar, f.side, f.quantity) for f in result.fills] == [(1, BUY, 1.0), (2, SELL, 1.0)]
    assert result.portfolio.position == 0.0


def test_immediate_or_cancel_does_not_rest() -> None:
    order = Order(BUY, "limit", 1.0, 95.0, tif="ioc")
    assert prices(play(bars(100, (100, 100, 90, 91), 90), {0: send(order)})) == []
    assert order.status == "cancelled"


@pytest.mark.parametrize("life", [{"good_for": 2}, {"good_till": 3 * HOUR_US}])
def test_good_till_date_ends_at_the_close_of_its_last_bar(life: dict[str, int]) -> None:
    order = Order(BUY, "limit", 1.0, 95.0, tif="gtd", **life)
    assert prices(play(bars(100, 100, 100, 90), {0: send(order)})) == []
    assert order.status == "expired"
    again = Order(BUY, "limit", 1.0, 95.0, tif="gtd", **life)
    assert prices(play(bars(100, 100, 90, 90), {0: send(again)})) == [(2, BUY, 90.0)]


@pytest.mark.parametrize("good_till", [HOUR_US - 1, HOUR_US, HOUR_US + 1])
def test_an_order_whose_time_is_over_when_it_arrives_fills_nothing(good_till: int) -> None:
    order = Order(BUY, "limit", 1.0, 99.0, tif="gtd", good_till=good_till)
    assert prices(play(bars(100, 90, 90), {0: send(order)})) == ([(1, BUY, 90.0)] if good_till > HOUR_US else [])
    late = Order(BUY, "limit", 1.0, 99.0, tif="gtd", good_till=good_till)
    assert prices(play(bars(100, 90, 90), {0: send(late)}, latency_us=1)) == []  # it would be there at the bar after
    assert (order.status, late.status) == ("filled" if good_till > HOUR_US else "expired", "expired")


def test_among_trades_an_order_ends_at_its_very_time() -> None:
    trades = tuple(Trade(k, price, 1.0, 1) for k, price in enumerate((100.0, 90.0)))
    for good_till, n_fills in ((HOUR_US + 1, 0), (HOUR_US + 2, 1)):
        order = Order(BUY, "limit", 1.0, 95.0, tif="gtd", good_till=good_till)
        within = tuple(trade._replace(ts=HOUR_US + trade.ts) for trade in trades)
        market = bars(100, (100, 100, 90, 90), trades=((Trade(0, 100.0, 1.0, 1),), within))
        assert len(play(market, {0: send(order)}).fills) == n_fills


def test_an_order_taken_back_fills_nothing() -> None:
    order = Order(BUY, "limit", 1.0, 95.0)
    assert prices(play(bars(100, 100, 90), {0: send(order), 1: lambda ctx: ctx.cancel(order)})) == []
    assert order.status == "cancelled"


def test_m21_a_larger_latency_never_fills_at_an_earlier_bar() -> None:
    market = bars(*range(100, 130))
    filled = [
        play(market, {3: enter()}, latency_us=us).fills[0].bar for us in (0, 1, HOUR_US, HOUR_US + 1, 5 * HOUR_US)
    ]
    assert filled == [4, 5, 5, 6, 9]


@pytest.mark.parametrize("reduce_only", [False, True])
def test_what_reduces_a_position_needs_no_least_notional(reduce_only: bool) -> None:
    rules, order = FREE._replace(min_notional=10.0), Order(SELL, "market", 1.0, reduce_only=reduce_only)
    result = play(bars(100, 100, 5, 5), {0: enter(), 2: send(order)}, rules)
    assert (order.status, result.portfolio.position) == ("filled", 0.0)
    turns = Order(SELL, "market", 2.5)
    assert play(bars(100, 100, 2, 2), {0: enter(), 2: send(turns)}, rules).portfolio.position == 1.0


@pytest.mark.parametrize("reduce_only", [False, True])
def test_what_reduces_a_position_does_so_in_whole_lots(reduce_only: bool) -> None:
    rules = FREE._replace(lot_step=1.0)
    for quantity, left in ((1.375, 2.0), (0.5, 3.0), (3.0, 0.0)):
        order = Order(SELL, "market", quantity, reduce_only=reduce_only)
        acts = {0: lambda ctx: ctx.market(BUY, 3.0), 1: send(order)}
        assert play(bars(100, 100, 100), acts, rules).portfolio.position == left
        assert order.status == ("rejected" if left == 3.0 else "filled")


def test_what_the_account_does_not_allow_is_rejected() -> None:
    order = Order(BUY, "market", 101.0)
    assert prices(play(bars(100, 100), {0: send(order)})) == []
    assert order.status == "rejected"
    assert prices(play(bars(100, 100), {0: enter()}, FREE._replace(min_notional=101.0))) == []
    assert play(bars(100, 100), {0: enter()}, FREE._replace(lot_step=0.75)).fills[0].quantity == 0.75


@pytest.mark.parametrize(("quantity", "status"), [(20.0, "rejected"), (13.25, "filled"), (10.0, "filled")])
def test_m22_an_order_that_turns_the_position_is_held_to_the_leverage(quantity: float, status: str) -> None:
    # Short 10 at 100, then 150: equity is 500, so at leverage 1 no more than 3.33 may be held on the other side.
    order, rules = Order(BUY, "market", quantity), FREE._replace(initial_cash=1_000.0)
    result = play(bars(100, 100, 150, 150), {0: lambda ctx: ctx.market(SELL, 10.0), 2: send(order)}, rules)
    assert order.status == status
    assert result.portfolio.position == (-10.0 if status == "rejected" else quantity - 10.0)


BY_ONE_PERCENT = FREE._replace(initial_cash=1_000.0, sizing=BY_RISK, fraction=0.01)


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize(
    "bracket", [Bracket(stop_loss_rate=0.02), Bracket(stop_distance=2.0)], ids=["rate", "distance"]
)
@pytest.mark.parametrize("rate", [0.0, 0.5], ids=["no rule", "another rule"])
def test_a_size_by_risk_is_made_of_the_stop_that_the_bracket_places(side: int, bracket: Bracket, rate: float) -> None:
    rules = BY_ONE_PERCENT._replace(stop_loss_rate=rate)
    filled = play(bars(100, 100), {0: lambda ctx: ctx.market(side, bracket=bracket)}, rules).fills
    assert [fill.quantity for fill in filled] == [5.0]  # 10 of 1,000 are lost 2 below 100


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_size_by_risk_without_a_stop_is_refused(side: int) -> None:
    for bracket in (None, Bracket(take_profit_rate=0.1)):
        order = Order(side, "market", bracket=bracket)
        assert play(bars(100, 100), {0: send(order)}, BY_ONE_PERCENT).fills == []
        assert order.status == "rejected"
        assert "by risk without a stop" in order.reason
    with pytest.raises(ValueError, match="what is at risk"):
        FollowSignals(np.zeros(2, np.int8), BY_ONE_PERCENT)
    with pytest.raises(ValueError, match="what is at risk"):
        ema_cross.run(bars(100, 100), BY_ONE_PERCENT, CrossParameters())


def test_a_leveraged_position_is_liquidated() -> None:
    rules = FREE._replace(leverage=4.0, maintenance_rate=0.0625)
    result = play(bars(100, 100, (100, 101, 70, 75)), {0: lambda ctx: ctx.market(BUY, 400.0)}, rules)
    assert prices(result) == [(1, BUY, 100.0), (2, SELL, 80.0)]
    assert result.fills[-1].tag == "liquidation"


def test_against_trades_the_order_of_stop_and_target_is_known() -> None:
    up_first = tuple(Trade(k, price, 1.0, 1) for k, price in enumerate((100.0, 130.0, 80.0)))
    down_first = tuple(Trade(k, price, 1.0, 1) for k, price in enumerate((100.0, 80.0, 130.0)))
    ends = []
    for within in (up_first, down_first):
        market = bars(100, (100, 130, 80, 100), trades=((Trade(0, 100.0, 1.0, 1),), within))
        ends.append(prices(play(market, {0: enter(bracket=Bracket(0.125, 0.25))}))[-1])
    assert ends == [(1, SELL, 125.0), (1, SELL, 80.0)]  # a target fills at its price, a stop at the next trade


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"side": 2}, "side"), ({"side": 1, "quantity": 0.0}, "quantity"), ({"side": 1, "kind": "limit"}, "limit"),
        ({"side": 1, "kind": "stop"}, "stop"), ({"side": 1, "kind": "trailing_stop"}, "trailing_rate"),
        ({"side": 1, "tif": "gtd"}, "tif"), ({"side": 1, "kind": "stop", "stop": 1.0, "tif": "ioc"}, "tif"),
        ({"side": 1, "good_for": 3}, "tif"),
    ],
)  # fmt: skip
def test_an_order_that_cannot_be_says_why(wrong: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Order(**wrong)  # type: ignore[arg-type]
