"""When what a strategy sends arrives: at bars, at trades, at fills, with latency and without."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tickloom.strategy.worlds import FREE, HOUR_US, Act, Script, bars, play, prices
from tickloom.strategy.engine import Engine, Result
from tickloom.strategy.feed import Bars, Trade
from tickloom.strategy.orders import BUY, SELL, Fill, Order
from tickloom.strategy.strategy import Context, Strategy

SECOND_US = 1_000_000


def traded(*paths: tuple[float, ...], every_us: int = SECOND_US) -> Bars:
    """Hourly bars whose trades come one after another from the open on."""
    within = tuple(
        tuple(Trade(k * HOUR_US + i * every_us, float(price), 1.0, 1) for i, price in enumerate(path))
        for k, path in enumerate(paths)
    )
    return bars(*((path[0], max(path), min(path), path[-1]) for path in paths), trades=within)


class Told(Strategy):
    """Does an act at the trade of a price, and another at each fill."""

    def __init__(self, acts: dict[float, Act], at_fill: Act | None = None) -> None:
        self.acts, self.at_fill = acts, at_fill

    def on_trade(self, ctx: Context, trade: Trade) -> None:
        if act := self.acts.pop(trade.price, None):
            act(ctx)

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        if self.at_fill:
            self.at_fill(ctx)


def play_trades(market: Bars, acts: dict[float, Act], at_fill: Act | None = None, latency_us: int = 0) -> Result:
    return Engine(Told(acts, at_fill), market, FREE, latency_us=latency_us).run()


def buy(ctx: Context) -> Order:
    return ctx.market(BUY, 1.0)


@settings(max_examples=200, deadline=None)
@given(
    gaps_us=st.lists(st.integers(0, 90), min_size=2, max_size=60),
    at=st.integers(0, 59),
    latency_us=st.integers(0, 200),
    n_bars=st.integers(1, 5),
)
def test_m21_an_order_sent_at_a_trade_fills_at_the_first_trade_after_the_latency(
    gaps_us: list[int], at: int, latency_us: int, n_bars: int
) -> None:
    ts, at = [sum(gaps_us[: k + 1]) for k in range(len(gaps_us))], at % len(gaps_us)
    all_trades = [Trade(t, 100.0 + k, 1.0, 1) for k, t in enumerate(ts)]
    size = -(-len(ts) // n_bars)
    within = tuple(tuple(all_trades[k : k + size]) for k in range(0, len(ts), size))
    rows = [(w[0].price, w[-1].price, w[0].price, w[-1].price) for w in within]
    fills = play_trades(bars(*rows, trades=within), {100.0 + at: buy}, latency_us=latency_us).fills
    expected = [trade.price for trade in all_trades[at + 1 :] if trade.ts >= ts[at] + latency_us][:1]
    assert [fill.price for fill in fills] == expected


def test_m21_at_trades_the_latency_counts_from_the_close_that_on_bar_is_told_of() -> None:
    market = traded((100, 101), (110, 111, 112, 113), (120, 121))
    bought = [
        prices(play(market, {0: buy}, latency_us=seconds * SECOND_US))[0] for seconds in (0, 1, 2, 3, 4, 3_600, 3_601)
    ]
    assert [price for _, _, price in bought] == [110, 111, 112, 113, 120, 120, 121]


def test_a_life_in_bars_begins_in_the_bar_in_which_the_order_arrives() -> None:
    order = Order(BUY, "limit", 1.0, 50.0, tif="gtd", good_for=1)
    market = traded((100, 101), (100, 100), (100, 40), (30, 30))
    sent = play(market, {0: lambda ctx: ctx.submit(order)}, latency_us=HOUR_US + 1)
    assert prices(sent) == [(2, BUY, 40.0)]


def test_trades_out_of_their_order_are_not_played_with_latency() -> None:
    market = bars(100, trades=((Trade(5, 100.0, 1.0, 1), Trade(4, 100.0, 1.0, 1)),))
    with pytest.raises(ValueError, match="one of 4 comes after one of 5"):
        Engine(Strategy(), market, FREE, latency_us=1).run()
    Engine(Strategy(), market, FREE).run()


@pytest.mark.parametrize(("latency_us", "bought"), [(0, []), (1, [(2, BUY, 90.0)]), (HOUR_US, [(2, BUY, 90.0)])])
def test_a_cancel_on_its_way_leaves_the_order_working(latency_us: int, bought: list[object]) -> None:
    order = Order(BUY, "limit", 1.0, 95.0)

    class Early(Script):
        def on_start(self, ctx: Context) -> None:
            ctx.submit(order)  # it is there at the first open, whatever the latency

    early = Early({1: lambda ctx: ctx.cancel(order)})
    assert prices(Engine(early, bars(100, 100, 90, 90), FREE, latency_us=latency_us).run()) == bought


def test_a_cancel_that_has_arrived_ends_the_order_though_no_price_came_near_it() -> None:
    order = Order(BUY, "limit", 1.0, 50.0)
    market = bars(*[100] * 4, 40)
    result = play(market, {0: lambda ctx: ctx.submit(order), 1: lambda ctx: ctx.cancel(order)}, latency_us=1)
    assert (prices(result), order.status) == ([], "cancelled")


def test_a_cancel_at_a_trade_takes_the_latency_too() -> None:
    def both(second: int) -> list[tuple[int, int, float]]:
        order = Order(BUY, "limit", 1.0, 99.5)
        acts: dict[float, Act] = {100.0: lambda ctx: ctx.submit(order), 101.0: lambda ctx: ctx.cancel(order)}
        market = traded((100, 102, 101, 103, 99))  # the cancel is sent two seconds before the price comes
        return prices(play_trades(market, acts, latency_us=second * SECOND_US))

    assert [both(second) for second in (0, 1, 2, 3)] == [[], [], [], [(0, BUY, 99.5)]]


def test_an_order_sent_at_a_fill_is_not_filled_by_the_same_trade() -> None:
    def sell_at_99(ctx: Context) -> None:
        if ctx.position:
            ctx.submit(Order(SELL, "limit", 1.0, 99.0, reduce_only=True))

    result = play_trades(traded((100, 101), (102, 103)), {100.0: buy}, sell_at_99)
    assert prices(result) == [(0, BUY, 101.0), (1, SELL, 102.0)]


def test_stop_and_reverse_turns_once_a_trade() -> None:
    def reverse(ctx: Context) -> None:
        side = -1 if ctx.position > 0 else 1
        ctx.stop(side, 100.0, 2.0)

    result = play_trades(traded((100, 100, 100, 100)), {100.0: buy}, reverse)
    assert [fill.side for fill in result.fills] == [BUY, SELL, BUY]


def test_a_cancel_at_a_fill_comes_too_late_for_what_the_same_trade_fills() -> None:
    def fallen(price: float) -> list[float]:
        first, second = Order(SELL, "stop", 1.0, stop=98.0), Order(SELL, "stop", 1.0, stop=97.0)
        acts: dict[float, Act] = {100.0: lambda ctx: (ctx.submit(first), ctx.submit(second))}
        result = play_trades(traded((100, price, 95)), acts, lambda ctx: ctx.cancel(second))
        return [fill.price for fill in result.fills]

    assert (fallen(96), fallen(97.5)) == ([96, 96], [97.5])
