"""Golden strategies of orders: each kind that the event-driven engine takes, and what is kept of their fills."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from services.backtest.domain.account import account_rules
from tests.golden.markets import MADE, bars_of, digest_of, opens_of
from tests.golden.record import Record
from tickloom.contracts.backtest import BacktestRequest
from tickloom.kernel import F64
from tickloom.strategy.engine import Engine, Result
from tickloom.strategy.feed import Bars, Trade
from tickloom.strategy.orders import BUY, SELL, Bracket, Fill, Order
from tickloom.strategy.strategy import Context, Strategy

LOOKBACK = 20


def highest(bars: Bars) -> F64:
    """Return the highest high of the last LOOKBACK bars."""
    return np.array([bars.high[max(k - LOOKBACK + 1, 0) : k + 1].max() for k in range(bars.n_bars)])


def lowest(bars: Bars) -> F64:
    """Return the lowest low of the last LOOKBACK bars."""
    return np.array([bars.low[max(k - LOOKBACK + 1, 0) : k + 1].min() for k in range(bars.n_bars)])


class Watched(Strategy):
    """Keeps all orders that it sends, to be counted by what became of them."""

    def __init__(self) -> None:
        self.sent: list[Order] = []
        self.since = 0

    def on_start(self, ctx: Context) -> None:
        self.high, self.low = ctx.indicator(highest), ctx.indicator(lowest)

    def send(self, ctx: Context, order: Order) -> None:
        self.sent.append(ctx.submit(order))

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        self.since = ctx.bar


class StopLimits(Watched):
    """Buys a breakout by a stop-limit that lives ten bars, with a bracket around it."""

    def on_bar(self, ctx: Context) -> None:
        if not ctx.position and not ctx.orders:
            stop, bracket = self.high(), Bracket(stop_loss_rate=0.01, take_profit_rate=0.012)
            order = Order(BUY, "stop_limit", limit=stop * 1.001, stop=stop, tif="gtd", good_for=10, bracket=bracket)
            self.send(ctx, order)


class Straddles(Watched):
    """Waits on both sides of the range by stops that cancel each other, and is flat again 30 bars later."""

    def on_bar(self, ctx: Context) -> None:
        if ctx.position:
            if ctx.bar - self.since >= 30:
                ctx.flatten()
        elif not ctx.orders and ctx.bar >= LOOKBACK:
            for side, stop in ((BUY, self.high()), (SELL, self.low())):
                self.send(ctx, Order(side, "stop", stop=stop, group=ctx.bar))


class Immediate(Watched):
    """Takes what the next open gives below its limit, at once or not at all; leaves by orders that only reduce."""

    def on_bar(self, ctx: Context) -> None:
        if not ctx.position:
            self.send(ctx, Order(BUY, "limit", limit=ctx.close() * 0.9998, tif="ioc"))
        elif not ctx.orders:
            self.send(ctx, Order(SELL, "limit", ctx.position / 2, ctx.entry_price * 1.004, reduce_only=True))
            self.send(ctx, Order(SELL, "stop", stop=ctx.entry_price * 0.99, reduce_only=True))


class Trailing(Watched):
    """Sells the range's low, and sends a trailing stop that only reduces when it is filled; a target till a time."""

    def on_bar(self, ctx: Context) -> None:
        if not ctx.position and not ctx.orders and ctx.close() <= self.low() * 1.002:
            self.send(ctx, Order(SELL, "market"))

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        super().on_fill(ctx, fill)
        if fill.position < 0.0:
            self.send(ctx, Order(BUY, "trailing_stop", trailing_rate=0.01, reduce_only=True))
            until = ctx.ts + 6 * 3_600_000_000
            self.send(ctx, Order(BUY, "limit", limit=fill.price * 0.99, reduce_only=True, tif="gtd", good_till=until))


class AtTrades(Watched):
    """Looks at every trade: sends one limit a bar below the first trade that falls, and takes it back at the close."""

    def on_start(self, ctx: Context) -> None:
        super().on_start(ctx)
        self.last, self.limit = 0.0, -1

    def on_trade(self, ctx: Context, trade: Trade) -> None:
        if trade.price < self.last and self.limit != ctx.bar and not ctx.position and not ctx.orders:
            self.limit = ctx.bar
            bracket = Bracket(stop_loss_rate=0.006, take_profit_rate=0.006, trailing_rate=0.008)
            self.send(ctx, Order(BUY, "limit", limit=trade.price * 0.999, bracket=bracket))
        self.last = trade.price

    def on_bar(self, ctx: Context) -> None:
        if not ctx.position:
            for order in ctx.orders:
                ctx.cancel(order)


@dataclass(frozen=True)
class Sent:
    """One row: `feed` is how bars are played: "bars", "inside" (their trades decide), "trades" (each is played)."""

    name: str
    market: str
    make: Callable[[], Watched]
    account: dict[str, Any] = field(default_factory=dict)
    feed: str = "bars"
    latency_us: int = 0

    @property
    def is_made(self) -> bool:
        return self.market in MADE

    def bars(self, shared_data: Path | None, n_bars: int | None = None) -> Bars:
        """Return the bars, or the first ones."""
        columns, ts_close = bars_of(self.market, shared_data)
        opens = opens_of(self.market, ts_close)
        paths = MADE[self.market]()[2] if self.is_made else []
        inside = tuple(path.tolist() for path in paths) if self.feed == "inside" else ()
        trades = tuple(
            tuple(Trade(int(ts), price, 1.0, BUY) for price in path.tolist())
            for ts, path in zip(opens if self.feed == "trades" else (), paths, strict=False)
        )
        bars = Bars(
            *(columns[name] for name in ("open", "high", "low", "close")), opens, ts_close, columns["volume"],
            trades=trades, inside=inside, inside_fills=True,
        )  # fmt: skip
        return bars if n_bars is None else bars.head(n_bars)

    def play(self, bars: Bars) -> tuple[Result, list[Order]]:
        """Return the run and the orders that were sent."""
        strategy, rules = self.make(), account_rules(BacktestRequest.model_validate(self.account))
        return Engine(strategy, bars, rules, latency_us=self.latency_us).run(), strategy.sent


COSTS = {"commission_rate": 0.0004, "maker_rate": 0.0001, "slippage_rate": 0.0001}
TWICE = COSTS | {"leverage": 4, "maintenance_rate": 0.02}

SENT = (
    Sent("breakouts by stop-limits", "sim_btc_15m", StopLimits, COSTS),
    Sent("breakouts by stop-limits, a minute late", "sim_btc_15m", StopLimits, COSTS, latency_us=60_000_000),
    Sent("breakouts by stop-limits by days", "btc_daily", StopLimits, COSTS),
    Sent("straddles that cancel each other", "sim_eth_dollar", Straddles, TWICE),
    Sent("straddles that cancel each other by quarter hours", "btc_15m", Straddles, TWICE),
    Sent("straddles inside bars", "sim_eth_dollar", Straddles, COSTS, "inside"),
    Sent("immediate or cancelled, left by halves", "sim_doge_tick", Immediate, COSTS | {"lot_step": 1.0}),
    Sent("immediate or cancelled, left by halves, at trades", "sim_btc_15m", Immediate, COSTS, "trades"),
    Sent("a trailing stop sent at the fill", "sim_btc_15m", Trailing, COSTS),
    Sent("a trailing stop sent at the fill, inside bars, late", "sim_btc_15m", Trailing, COSTS, "inside", 5_000_000),
    Sent("limits below trades", "sim_doge_tick", AtTrades, COSTS, "trades"),
)


def fill_digest(result: Result, kinds: str) -> str:
    """Return the sha256 of whole numbers ("orders") or amounts ("fills") of all fills."""
    fills = result.fills
    whole = {"bar": [f.bar for f in fills], "side": [f.side for f in fills], "maker": [f.is_maker for f in fills]}
    money = {name: [getattr(f, name) for f in fills] for name in ("quantity", "price", "fee", "position", "cash")}
    columns = whole if kinds == "orders" else money
    return digest_of({name: np.array(values, np.float64) for name, values in columns.items()}, np.empty(0, np.int64))


def record_of(sent: Sent, shared_data: Path | None) -> Record:
    """Return what a strategy of orders does now."""
    bars = sent.bars(shared_data)
    result, orders = sent.play(bars)
    equity = result.performance.equity
    became = Counter(f"{order.tif} {order.kind} {order.status}" for order in orders)
    return {
        "bars": digest_of(*bars_of(sent.market, shared_data)),
        "signals": None,
        "orders": fill_digest(result, "orders"),
        "fills": fill_digest(result, "fills"),
        "logarithms": False,
        "counts": {
            "fills": len(result.fills), **dict(sorted(Counter(f"filled as {f.tag}" for f in result.fills).items())),
            **dict(sorted(became.items())),
        },
        "metrics": {
            "final_equity": float(equity[-1]), "lowest_equity": float(equity.min()),
            "trips": len(result.performance.trips),
            "fees_paid": float(sum(fill.fee for fill in result.fills)),
        },
    }  # fmt: skip
