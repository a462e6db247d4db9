"""The loop, the account at every event, and what a strategy may see."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tickloom.strategy.worlds import FREE, HOUR_US, Script, bars, play, prices
from tickloom.strategy.engine import Engine
from tickloom.strategy.feed import Bars, Trade
from tickloom.strategy.orders import BUY, Bracket, Fill, Order
from tickloom.strategy.performance import Performance, track
from tickloom.strategy.portfolio import Portfolio
from tickloom.strategy.rules import Rules
from tickloom.strategy.strategy import Context, LooksAhead, Strategy

RULES = Rules(10_000.0, 1.0, 0.001, 0.0005, 0.0, maker_rate=0.0002, leverage=3.0, maintenance_rate=0.01)


class Monkey(Strategy):
    """Sends orders of every kind at random; checks the books at every fill."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.open_fees = 0.0

    def on_start(self, ctx: Context) -> None:
        self.account = ctx._portfolio

    def on_bar(self, ctx: Context) -> None:
        rng, side, price = self.rng, int(self.rng.choice([-1, 1])), ctx.close()
        if rng.random() < 0.5:
            return
        for order in ctx.orders[:1] if rng.random() < 0.2 else []:
            ctx.cancel(order)
        if len(ctx.orders) > 6:
            return
        quantity, off = float(rng.integers(1, 240)), float(rng.integers(1, 8)) / 256
        bracket = Bracket(off, off, off) if rng.random() < 0.3 else None
        kind = rng.choice(["market", "limit", "stop", "stop_limit", "trailing_stop", "ioc", "gtd", "flatten"])
        if kind == "flatten":
            ctx.flatten()
        elif kind == "trailing_stop":
            ctx.submit(Order(side, kind, quantity, trailing_rate=off, reduce_only=bool(rng.random() < 0.5)))
        elif kind in ("ioc", "gtd"):
            life = {"good_for": 3} if kind == "gtd" else {}
            ctx.submit(Order(side, "limit", quantity, price * (1 - side * off), tif=kind, bracket=bracket, **life))
        else:
            limit = price * (1 - side * off) if "limit" in kind else None
            stop = price * (1 + side * off / 2) if "stop" in kind else None
            ctx.submit(Order(side, kind, quantity, limit, stop, bracket=bracket, group=int(rng.integers(1, 4))))

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        account = self.account
        gained = account.equity(fill.price) - account.initial_cash
        scale = 1e-9 * max(1.0, abs(account.equity(fill.price)))
        assert gained == pytest.approx(account.realised + account.unrealised(fill.price) - account.fees, abs=scale)
        held = sum(f.side * f.quantity for f in account.fills)
        assert account.position == pytest.approx(held, abs=1e-9)
        if not fill.order.reduce_only and account.position * fill.side > 0:  # m22
            margin = account.equity(fill.price) * RULES.leverage * (1 + 1e-9)
            assert abs(account.position) * fill.price <= margin


def walk(seed: int, n: int = 120) -> Bars:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    opened = close * np.exp(rng.normal(0, 0.004, n))
    high = np.maximum(opened, close) * (1 + rng.exponential(0.005, n))
    low = np.minimum(opened, close) * (1 - rng.exponential(0.005, n))
    ts = np.arange(n, dtype=np.int64) * HOUR_US
    return Bars(opened, high, low, close, ts, ts + HOUR_US)


def told(fills: list[Fill]) -> list[tuple[object, ...]]:
    return [(f.bar, f.side, f.quantity, f.price, f.fee, f.tag, f.cash) for f in fills]


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**9), cut=st.integers(1, 119))
def test_c3_the_books_balance_at_every_fill_and_c1_a_prefix_fills_the_same(seed: int, cut: int) -> None:
    market = walk(seed)
    result = Engine(Monkey(seed), market, RULES).run()
    final = float(market.close[-1])
    assert result.performance.equity[-1] == result.portfolio.equity(final)
    trips = sum(trip.pnl for trip in result.performance.trips)
    assert trips == pytest.approx(result.portfolio.equity(final) - 10_000, abs=1e-6)
    assert sum(trip.fees for trip in result.performance.trips) == pytest.approx(result.portfolio.fees)
    shorter = Engine(Monkey(seed), market.head(cut), RULES).run()
    assert told(shorter.fills) == [row for row in told(result.fills) if row[0] < cut]
    for fill in result.fills:
        if fill.is_maker:  # m16
            assert market.low[fill.bar] <= fill.price <= market.high[fill.bar]


def test_the_random_orders_are_of_every_kind_and_many_fill() -> None:
    fills = [fill for seed in range(30) for fill in Engine(Monkey(seed), walk(seed), RULES).run().fills]
    assert {"market", "limit", "stop", "stop_limit", "trailing_stop", "target"} - {fill.tag for fill in fills} <= {
        "stop_limit"
    }
    assert len(fills) > 500
    assert any(fill.is_maker for fill in fills)


def test_a_strategy_is_told_of_a_fill_before_the_close_of_its_bar() -> None:
    script = Script({0: lambda ctx: ctx.market(BUY, 1.0)})
    Engine(script, bars(100, 105, 110), FREE).run()
    assert script.told == [(0, "market", 105.0)]


def test_an_order_sent_at_a_fill_waits_for_the_next_bar() -> None:
    class Turns(Script):
        def on_fill(self, ctx: Context, fill: Fill) -> None:
            ctx.flatten()

    result = Engine(Turns({0: lambda ctx: ctx.market(BUY, 1.0)}), bars(100, 105, 110, 120), FREE).run()
    assert prices(result)[:2] == [(1, BUY, 105.0), (2, -BUY, 110.0)]


def test_a_series_shows_the_past_and_refuses_the_future() -> None:
    seen = []

    def look(ctx: Context) -> None:
        seen.append((ctx.close(), ctx.close(1), math.isnan(ctx.close(2)), ctx.ts, ctx.equity))
        with pytest.raises(LooksAhead):
            ctx.close(-1)

    play(bars(100, 110, 120), {1: look})
    assert seen == [(110.0, 100.0, True, 2 * HOUR_US, 10_000.0)]


def test_at_a_fill_the_newest_price_is_its_own_and_the_time_is_not_ahead() -> None:
    seen = []

    class Looks(Script):
        def on_start(self, ctx: Context) -> None:
            seen.append((ctx.ts, math.isnan(ctx.price), ctx.equity))
            ctx.market(BUY, 1.0)

        def on_fill(self, ctx: Context, fill: Fill) -> None:
            seen.append((ctx.ts, ctx.price, ctx.equity))

    looks = Looks({0: lambda ctx: (seen.append((ctx.ts, ctx.price, ctx.equity)), ctx.flatten())})
    market = bars((100, 150, 100, 150), 200)
    rules = FREE._replace(commission_rate=0.01)
    Engine(looks, market, rules).run()
    assert seen == [
        (0, True, 10_000.0), (0, 100.0, 9_999.0), (HOUR_US, 150.0, 10_049.0), (HOUR_US, 200.0, 10_097.0),
    ]  # fmt: skip


def test_at_a_trade_price_and_time_are_those_of_the_trade() -> None:
    seen: list[tuple[str, int, float, float]] = []

    class Looks(Script):
        def on_trade(self, ctx: Context, trade: Trade) -> None:
            seen.append(("trade", ctx.ts, ctx.price, ctx.equity))
            if trade.ts == 5:
                ctx.market(BUY, 2.0)

        def on_fill(self, ctx: Context, fill: Fill) -> None:
            seen.append(("fill", ctx.ts, ctx.price, ctx.equity))

    looks = Looks({0: lambda ctx: seen.append(("bar", ctx.ts, ctx.price, ctx.equity))})
    trades = tuple(Trade(ts, price, 1.0, 1) for ts, price in ((5, 100.0), (7, 101.0), (9, 104.0)))
    Engine(looks, bars((100, 104, 100, 104), trades=(trades,)), FREE).run()
    assert seen == [
        ("trade", 5, 100.0, 10_000.0), ("fill", 7, 101.0, 10_000.0), ("trade", 7, 101.0, 10_000.0),
        ("trade", 9, 104.0, 10_006.0), ("bar", HOUR_US, 104.0, 10_006.0),
    ]  # fmt: skip


def test_before_the_first_bar_there_is_nothing_to_see() -> None:
    class Early(Strategy):
        def on_start(self, ctx: Context) -> None:
            assert math.isnan(ctx.close())
            assert math.isnan(ctx.indicator(lambda b: b.close)())

    Engine(Early(), bars(100, 110), FREE).run()


@pytest.mark.parametrize("leak", [lambda b: np.r_[b.close[1:], 0.0], lambda b: b.close - b.close.mean()])
def test_an_indicator_that_looks_ahead_is_refused(leak: object) -> None:
    class Cheat(Strategy):
        def on_start(self, ctx: Context) -> None:
            ctx.indicator(leak)  # type: ignore[arg-type]

    with pytest.raises(LooksAhead, match="changes with its future"):
        Engine(Cheat(), bars(*range(100, 130)), FREE).run()


def test_trades_are_told_one_by_one_and_fill_what_was_sent_at_the_one_before() -> None:
    class Taker(Strategy):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def on_trade(self, ctx: Context, trade: Trade) -> None:
            self.seen.append(trade.price)
            if trade.price == 101:
                ctx.market(BUY, 1.0)

    market = bars(
        100,
        (100, 103, 100, 103),
        trades=((Trade(0, 100.0, 1.0, 1),), tuple(Trade(k, 100.0 + k, 1.0, 1) for k in range(4))),
    )
    taker = Taker()
    assert prices(Engine(taker, market, FREE).run()) == [(1, BUY, 102.0)]
    assert taker.seen == [100, 100, 101, 102, 103]


def test_another_risk_manager_takes_the_place_of_the_one_there_is() -> None:
    class Nothing:
        def allowed(self, *_: object) -> float:
            return 0.0

        def liquidation_price(self, _: object) -> None:
            return None

        def is_short_of_margin(self, *_: object) -> bool:
            return False

    assert play(bars(100, 100, 100), {0: lambda ctx: ctx.market(BUY, 1.0)}, risk=Nothing()).fills == []


def test_another_portfolio_and_tracker_take_the_place_of_those_there_are() -> None:
    class Taxed(Portfolio):
        def book(self, side: int, quantity: float, price: float, fee: float) -> None:
            super().book(side, quantity, price, fee + 1.0)

    def in_thousands(fills: list[Fill], close: np.ndarray, initial_cash: float) -> Performance:
        found = track(fills, close, initial_cash)
        return found._replace(equity=found.equity / 1_000)

    acts = {0: lambda ctx: ctx.market(BUY, 10.0), 1: lambda ctx: ctx.flatten()}
    result = play(bars(100, 100, 110, 110), acts, portfolio=Taxed(10_000.0), tracker=in_thousands)
    assert result.performance.equity.tolist() == [10.0, 9.999, 10.098, 10.098]
    assert isinstance(result.portfolio, Taxed)


def test_an_account_is_used_once() -> None:
    used = play(bars(100, 100), {0: lambda ctx: ctx.market(BUY, 1.0)}).portfolio
    for portfolio in (used, Portfolio(5.0)):
        with pytest.raises(ValueError, match="begins with the initial_cash"):
            Engine(Strategy(), bars(100), FREE, portfolio=portfolio)
    engine = Engine(Strategy(), bars(100, 100), FREE)
    engine.run()
    with pytest.raises(RuntimeError, match="runs once"):
        engine.run()


def test_a_margin_call_comes_once_before_the_liquidation_and_again_after_the_margin_was_enough() -> None:
    class Called(Script):
        def on_margin_call(self, ctx: Context) -> None:
            self.told.append((ctx.bar, "call", ctx.equity))

    # 400 at 100 with 10,000: at 81 equity is 2,400, the maintenance margin 2,025; liquidation is at 80.
    called = Called({0: lambda ctx: ctx.market(BUY, 400.0)})
    rules = FREE._replace(leverage=4.0, maintenance_rate=0.0625)
    Engine(called, bars(100, 100, 81, 81, 90, 81, 79), rules).run()
    assert called.told == [
        (0, "market", 100.0), (2, "call", 2_400.0), (5, "call", 2_400.0), (5, "liquidation", 79.0),
    ]  # fmt: skip
