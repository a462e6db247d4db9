"""The execution handler: the book of the strategy's own orders, filled against bars or against trades.

The rules within a bar, in this order. At the open: market orders, then limits that the open satisfies, each in the
order in which they came. Then stops, the nearest to the open first, on whichever side; then limits, likewise, which the
price has to trade through. Of two as near, the one goes first that the bar's close is against: it is the worse for the
account. An order that was born within the bar is filled against what may have come after: a stop against the bar's low
and high, a limit against its close alone. docs/backtest.md says the same of the engine of grids.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf, isnan, nan
from typing import NamedTuple, Protocol

from tickloom.kernel import plain
from tickloom.strategy import pricing
from tickloom.strategy.clock import LATER, Arrival
from tickloom.strategy.orders import Bracket, Fill, NoPriceYet, Order, Status
from tickloom.strategy.portfolio import PortfolioManager
from tickloom.strategy.risk import RiskManager
from tickloom.strategy.rules import Rules

_taker_price = plain(pricing.taker_price)
_impact_rate = plain(pricing.impact_rate)
_stop_price = plain(pricing.stop_price)
NOT_ALLOWED = "the account does not allow it: lots, least notional, leverage, cash, or a size by risk without a stop"
OVER = "its time was over"
_PRIORITY = {"stop": 0, "stop_limit": 0, "liquidation": 1, "trailing_stop": 2}


class Moment(NamedTuple):
    """What the market did in one step: a bar, or one trade, whose four prices are one.

    ts     microseconds UTC: of the trade, or of the bar's open
    path   prices of the trades within a bar, in their order, where they are known
    fills  a stop fills at the trade in `path` that reached it, and not at its level
    """

    bar: int
    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    volatility: float
    span_volatility: float
    path: Sequence[float] = ()
    fills: bool = False


class ExecutionHandler(Protocol):
    """Takes orders and fills them.

    lowest, highest  a bar that stays above the one and below the other fills nothing, and is not shown to it
    """

    lowest: float
    highest: float

    def submit(self, order: Order, arrival: Arrival, reference: float) -> None:
        """Take an order that is on its way; `reference` is the price at which a trailing stop begins, NaN: none yet."""
        ...

    def cancel(self, order: Order, arrival: Arrival | None) -> None:
        """Take an order back, if it still works when the cancel arrives; None: at once."""
        ...

    def match(self, now: Moment, *, is_trade: bool = False) -> None:
        """Fill what one step of the market fills."""
        ...

    def close_bar(self, bar: int, ts_close: int) -> None:
        """End the orders whose time is over at the close of `bar`."""
        ...

    def working(self) -> list[Order]:
        """Return the orders that still work, in the order in which they came."""
        ...


def _place(order: Order, bar: int) -> None:
    """Note the bars that an order lives in: from `bar` on."""
    order.first_bar = bar
    if order.good_for is not None and bar != LATER:
        order.last_bar = bar + order.good_for - 1


def _is_there(bar: int, ts: int, now: Moment) -> bool:
    """Return whether something that arrives in `bar`, or LATER at `ts`, is there."""
    return ts <= now.ts if bar == LATER else bar <= now.bar


def _nearness(order: Order, now: Moment) -> tuple[float, float, float, int]:
    """Return the sorting key of stops or of limits that a step reaches: the one that fills first is the least.

    Within one trade, and behind it where no open is known, all are as near. Those of one side go in the price's order.
    """
    is_limit = order.kind == "limit"
    ahead = -order.side if is_limit else order.side  # the way that the price has to go
    level = (order.limit if is_limit else order.stop) or nan
    away, drift = ahead * (level - now.open), order.side * (now.close - now.open)
    priority = _PRIORITY.get(order.tag, _PRIORITY.get(order.kind, 0))
    return away if away > 0.0 else 0.0, 0.0 if isnan(drift) else drift, ahead * level, priority


def _steps(now: Moment) -> Iterator[Moment]:
    """Yield what happens within a bar after its open: all at once, or, where its path is known, trade by trade.

    Behind the first trade there is no open that could be beyond a stop's level: it is NaN, and not compared with.
    """
    if not len(now.path):
        yield now
    for k, price in enumerate(now.path):
        opened = price if now.fills else now.open if k == 0 else nan
        yield now._replace(open=opened, high=price, low=price, close=price)


class BarExecution:
    """Fills orders by the rules above, with the account's costs."""

    def __init__(
        self, rules: Rules, portfolio: PortfolioManager, risk: RiskManager, on_fill: Callable[[Fill], None]
    ) -> None:
        self._rules, self._portfolio, self._risk, self._on_fill = rules, portfolio, risk, on_fill
        self._orders: list[Order] = []
        self._cancels: list[tuple[Order, Arrival]] = []
        self._liquidation: Order | None = None
        self._groups = 0
        self.lowest, self.highest = -inf, inf

    def submit(self, order: Order, arrival: Arrival, reference: float) -> None:
        """Take an order that is on its way."""
        order.arrives_us = arrival.ts
        _place(order, arrival.bar)
        if order.kind == "trailing_stop" and order.stop is None:
            if isnan(reference):
                raise NoPriceYet
            order.stop = reference * (1.0 + order.side * order.trailing_rate)
        self._orders.append(order)
        self._watch()

    def cancel(self, order: Order, arrival: Arrival | None) -> None:
        """Take an order back, if it still works when the cancel arrives; None: at once."""
        if arrival is None:
            self._end(order, "cancelled", "taken back")
        else:
            self._cancels.append((order, arrival))
        self._watch()

    def working(self) -> list[Order]:
        return [order for order in self._orders if order is not self._liquidation]

    def match(self, now: Moment, *, is_trade: bool = False) -> None:
        """Fill what one step of the market fills. After a trade the book goes on within the same bar."""
        self._arrive(now)
        arrived = [order for order in self._orders if order.first_bar <= now.bar]
        for order in arrived:
            if order.kind == "market" and order.is_working:
                self._fill(order, now, now.open, is_maker=False, is_inside=False)
        for order in arrived:
            if order.kind == "limit" and order.is_working and order.inside_bar != now.bar:
                self._limit_at_open(order, now, is_trade)
        for step in _steps(now):
            while self._stop_within(step):
                pass
            while self._limit_within(step):
                pass
            self._trail(step)
        self._watch()

    def _arrive(self, now: Moment) -> None:
        """Let in what has arrived by now. What is sent while this step fills is not among it."""
        due = [item for item in self._cancels if _is_there(item[1].bar, item[1].ts, now)]
        for item in due:
            self._cancels.remove(item)
            self._end(item[0], "cancelled", "taken back")
        for order in tuple(self._orders):
            if order.good_till is not None and now.ts >= order.good_till:
                self._end(order, "expired", OVER)
            elif order.first_bar == LATER and _is_there(LATER, order.arrives_us, now):
                _place(order, now.bar)

    def close_bar(self, bar: int, ts_close: int) -> None:
        """End the orders whose time is over at the close of `bar`."""
        for order in tuple(self._orders):
            if order.tif == "gtd" and (
                order.last_bar == bar or (order.good_till is not None and ts_close >= order.good_till)
            ):
                self._end(order, "expired", OVER)
        self._watch()

    def _limit_at_open(self, order: Order, now: Moment, is_trade: bool) -> None:
        """Fill a limit that the open satisfies: one that just arrived takes, one that rested makes.

        One that rested is filled by a trade at its limit, and by a bar at the open, which may be all there was. Where
        trades price the fills within bars, the open is the first of them.
        """
        side, limit, is_new = order.side, order.limit, order.first_bar == now.bar
        assert limit is not None
        if is_trade:
            order.first_bar = -1  # the next trade finds it resting
        if side * now.open < side * limit or (is_new and now.open == limit):
            by_trade = is_trade or (now.fills and len(now.path) > 0)
            price = limit if by_trade and not is_new else now.open
            self._fill(order, now, price, is_maker=not is_new, is_inside=False)
        elif order.tif == "ioc":
            self._end(order, "cancelled", "the open did not satisfy its limit")

    def _stop_within(self, now: Moment) -> bool:
        """Fill the nearest stop that the price reaches; return whether there was one."""
        reached = [
            order
            for order in self._orders
            if order.stop is not None
            and order.first_bar <= now.bar
            and (now.high >= order.stop if order.side > 0 else now.low <= order.stop)
        ]
        if not reached:
            return False
        order = min(reached, key=lambda stop: _nearness(stop, now))
        trigger, came_inside = order.stop, order.inside_bar == now.bar
        assert trigger is not None
        is_beyond = now.open > trigger if order.side > 0 else now.open < trigger
        price = now.open if is_beyond and not came_inside else trigger
        if order.kind != "stop_limit":
            is_inside = came_inside or price != now.open
            self._fill(order, now, price, is_maker=False, is_inside=is_inside)
            return True
        order.kind, order.stop, order.inside_bar = "limit", None, now.bar
        if order.limit is not None and order.side * price <= order.side * order.limit:
            self._fill(order, now, price, is_maker=False, is_inside=True)
        return True

    def _limit_within(self, now: Moment) -> bool:
        """Fill the nearest limit that the price trades through; return whether there was one."""
        limits = (order for order in self._orders if order.kind == "limit")
        for order in sorted(limits, key=lambda limit: _nearness(limit, now)):
            limit = order.limit
            assert limit is not None
            if order.first_bar > now.bar:
                continue
            came_inside = order.inside_bar == now.bar
            reach = now.close if came_inside else (now.low if order.side > 0 else now.high)
            if order.side * reach < order.side * limit:
                self._fill(order, now, limit, is_maker=True, is_inside=True)
                while self._stop_within(now):
                    pass
                return True
        return False

    def _fill(self, order: Order, now: Moment, price: float, *, is_maker: bool, is_inside: bool) -> None:
        """Fill an order at `price` before slippage, as far as the risk manager allows, and do what follows from it."""
        rules, portfolio, side = self._rules, self._portfolio, order.side
        fee_rate = rules.maker_rate if is_maker else rules.commission_rate
        fill = price
        if not is_maker:
            fill = _taker_price(rules, side, price, 0.0)
            if rules.impact_kind:
                wanted = self._risk.allowed(order, portfolio, fill, fee_rate, now.volatility)
                impact = _impact_rate(rules, wanted, now.volume, now.span_volatility)
                fill = _taker_price(rules, side, price, impact)
            if order.limit is not None:
                fill = min(fill, order.limit) if side > 0 else max(fill, order.limit)
        quantity = self._risk.allowed(order, portfolio, fill, fee_rate, now.volatility)
        if quantity <= 0.0:
            self._end(order, "rejected", NOT_ALLOWED)
            return
        fee = quantity * fill * fee_rate
        portfolio.book(side, quantity, fill, fee)
        order.filled_quantity = quantity
        self._end(order, "filled", "")
        self._after(order, now, fill, is_inside and now.low < now.high)  # within one trade there is no inside
        tag = order.tag or order.kind
        done = Fill(
            order, now.bar, side, quantity, fill, fee, is_maker, is_inside, tag, portfolio.position, portfolio.cash
        )
        portfolio.fills.append(done)
        self._on_fill(done)

    def _after(self, order: Order, now: Moment, fill: float, is_inside: bool) -> None:
        """End what a fill ends (its group, reduce-only orders without a position) and begin what it begins."""
        for other in tuple(self._orders):
            if other.group is not None and other.group == order.group:
                self._end(other, "cancelled", "another order of its group was filled")
            elif other.reduce_only and not self._portfolio.position * other.side < 0.0:
                self._end(other, "cancelled", "there is no position left to reduce")
        if order.bracket and self._portfolio.position * order.side > 0.0:
            self._protect(order, order.bracket, now, fill, is_inside)
        self._margin(now, is_inside)

    def _protect(self, entry: Order, bracket: Bracket, now: Moment, fill: float, is_inside: bool) -> None:
        """Place the orders of a bracket around `fill`: they close what this entry added, and no other's share."""
        self._groups -= 1
        side, added = entry.side, min(entry.filled_quantity, abs(self._portfolio.position))
        child = partial(Order, -side, quantity=added, reduce_only=True, group=self._groups)
        made: list[Order] = []
        stop_loss = _stop_price(side, fill, bracket.stop_loss_rate, bracket.stop_distance)
        if 0.0 < stop_loss < inf:
            made.append(child("stop", stop=stop_loss, tag="stop"))
        if (rate := bracket.trailing_rate) > 0.0:
            stop = fill * (1.0 - side * rate)
            made.append(child("trailing_stop", stop=stop, trailing_rate=rate, tag="trailing_stop"))
        target = fill * (1.0 + side * bracket.take_profit_rate)
        if bracket.take_profit_rate > 0.0 and target > 0.0:
            made.append(child("limit", limit=target, tag="target"))
        for order in made:
            # It rests from now on: no open takes it as one that has just arrived.
            order.first_bar, order.inside_bar = -1, now.bar if is_inside else -1
        self._orders.extend(made)

    def _margin(self, now: Moment, is_inside: bool) -> None:
        """Keep one order where the position is liquidated."""
        if self._liquidation is not None and self._liquidation in self._orders:
            self._orders.remove(self._liquidation)
        self._liquidation, price = None, self._risk.liquidation_price(self._portfolio)
        if price is not None:
            side = -1 if self._portfolio.position > 0.0 else 1
            order = Order(side, "stop", stop=price, reduce_only=True, tag="liquidation")
            order.first_bar, order.inside_bar = -1, now.bar if is_inside else -1
            self._liquidation = order
            self._orders.append(order)

    def _trail(self, now: Moment) -> None:
        """Move the trailing stops by what this step brought; they stand there from the next step on."""
        for order in self._orders:
            if order.kind == "trailing_stop" and order.first_bar <= now.bar and order.stop is not None:
                best = now.close if order.inside_bar == now.bar else (now.low if order.side > 0 else now.high)
                moved = best * (1.0 + order.side * order.trailing_rate)
                order.stop = min(order.stop, moved) if order.side > 0 else max(order.stop, moved)

    def _end(self, order: Order, status: Status, reason: str) -> None:
        if order.is_working:
            order.status, order.reason = status, reason
            if order in self._orders:
                self._orders.remove(order)

    def _watch(self) -> None:
        """Note which prices the next step has to reach for anything to happen."""
        self.lowest, self.highest = inf if self._cancels else -inf, inf
        for order in self._orders:
            if order.kind in ("market", "trailing_stop") or order.tif != "gtc":
                self.lowest = inf  # any bar
            price = order.limit if order.kind == "limit" else order.stop
            if price is not None and (order.side > 0) == (order.kind == "limit"):
                self.lowest = max(self.lowest, price)
            elif price is not None:
                self.highest = min(self.highest, price)
