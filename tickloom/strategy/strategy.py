"""What a user writes: a strategy. And what it is given: the context."""

from collections.abc import Callable
from math import nan
from typing import Protocol

import numpy as np

from tickloom.kernel import F64
from tickloom.strategy.clock import Clock
from tickloom.strategy.execution import ExecutionHandler
from tickloom.strategy.feed import Bars, Trade
from tickloom.strategy.lookahead import LooksAhead, check
from tickloom.strategy.orders import Bracket, Fill, Order, TimeInForce
from tickloom.strategy.portfolio import PortfolioManager

__all__ = ["Context", "LooksAhead", "Series", "Strategy"]


class Series(Protocol):
    """Values of each bar, seen from now: `series()` is the newest, `series(1)` the bar before; NaN before the data."""

    def __call__(self, back: int = 0) -> float:
        """Return the value `back` bars ago. Raises LooksAhead on a bar that is still to come."""
        ...


def _series(values: F64, clock: "Context") -> Series:
    """Return values as a series. A function: in a loop over bars it is called in half the time that an object takes."""
    known: list[float] = [*values.tolist(), nan]  # before the first bar, bar -1, it is NaN

    def series(back: int = 0) -> float:
        if not back:
            return known[clock.bar]
        if back < 0:
            raise LooksAhead(f"series({back}): a bar that is still to come")
        at = clock.bar - back
        return known[at] if at >= 0 else nan

    return series


class Context:
    """The market, the account and the book as a strategy sees them: up to the close of `bar` and no further.

    open, high, low, close, volume  Series of the bars
    position                        signed base
    """

    open: Series
    high: Series
    low: Series
    close: Series
    volume: Series

    def __init__(self, bars: Bars, portfolio: PortfolioManager, execution: ExecutionHandler, clock: Clock) -> None:
        self.bar, self.position = -1, portfolio.position
        self._bars, self._portfolio, self._execution, self._clock = bars, portfolio, execution, clock

    def __getattr__(self, name: str) -> Series:
        """Make the series of a column when it is first asked for; from then on it is an attribute like any other."""
        if name not in ("open", "high", "low", "close", "volume"):
            raise AttributeError(f"a context has no {name}")
        values: F64 = getattr(self._bars, name)
        series = _series(values if values.size else np.full(self._bars.n_bars, nan), self)
        setattr(self, name, series)
        return series

    @property
    def ts(self) -> int:
        """The time now, microseconds UTC: of the trade that is told of, else the close of `bar`.

        In on_start it is the open of the first bar, as at a fill within it: when in a bar a fill was is not known.
        """
        return self._clock.now(self.bar)

    @property
    def price(self) -> float:
        """The newest price known: of the trade or the fill that is told of, else the newest close; NaN before it."""
        return self.close() if self._clock.price is None else self._clock.price

    @property
    def entry_price(self) -> float:
        """The mean price of the entry, slippage included; NaN without a position."""
        return self._portfolio.average if self._portfolio.position else nan

    @property
    def cash(self) -> float:
        return self._portfolio.cash

    @property
    def equity(self) -> float:
        """Quote currency, at the newest price known; before there is one it is the cash."""
        return self._portfolio.equity(self.price) if self.position else self.cash

    @property
    def orders(self) -> list[Order]:
        """The orders that still work."""
        return self._execution.working()

    def indicator(self, function: Callable[[Bars], F64]) -> Series:
        """Return `function` of the bars as a series. Call it in on_start.

        It is computed over all bars at once, and again over a part of them and over bars whose future is another:
        raises LooksAhead when its past is not the same then, and ValueError on another number of values than bars.
        """
        values = np.asarray(function(self._bars), np.float64)
        if values.shape != self._bars.close.shape:
            raise ValueError(f"indicator: {values.shape} values of {self._bars.n_bars} bars; it is one value a bar")
        check(function, self._bars, values)
        return _series(values, self)

    def submit(self, order: Order) -> Order:
        """Send an order. It arrives after the latency, before the first bar that opens then, or the first trade.

        What is sent at a fill is not filled by the bar, or the trade, of that fill. Raises NoPriceYet on a trailing
        stop without `stop` before the first price.
        """
        self._execution.submit(order, self._clock.order_arrival(self.bar), self.price)
        return order

    def market(self, side: int, quantity: float | None = None, bracket: Bracket | None = None) -> Order:
        """Buy (side 1) or sell (-1) at the next open."""
        return self.submit(Order(side, "market", quantity, bracket=bracket))

    def limit(
        self, side: int, limit: float, quantity: float | None = None, bracket: Bracket | None = None,
        tif: TimeInForce = "gtc", good_for: int | None = None,
    ) -> Order:  # fmt: skip
        """Buy or sell at `limit` or better."""
        return self.submit(Order(side, "limit", quantity, limit, bracket=bracket, tif=tif, good_for=good_for))

    def stop(self, side: int, stop: float, quantity: float | None = None, bracket: Bracket | None = None) -> Order:
        """Buy or sell at the market once the price comes to `stop`."""
        return self.submit(Order(side, "stop", quantity, stop=stop, bracket=bracket))

    def flatten(self) -> Order | None:
        """Close the position at the next open; None without one."""
        side = -1 if self.position > 0 else 1
        return self.submit(Order(side, "market", reduce_only=True, tag="signal")) if self.position else None

    def cancel(self, order: Order) -> None:
        """Take an order back. The cancel takes as long as an order does: until it arrives, the order works."""
        self._execution.cancel(order, self._clock.cancel_arrival(self.bar))


class Strategy:
    """A trading idea. Override what you need; a callback sees the market up to now, and its orders act later."""

    def on_start(self, ctx: Context) -> None:
        """Called once, before the first bar: the place for indicators."""

    def on_bar(self, ctx: Context) -> None:
        """Called at the close of each bar."""

    def on_trade(self, ctx: Context, trade: Trade) -> None:
        """Called at each trade of the market, where the feed plays them."""

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        """Called at each fill of an order of this strategy."""

    def on_margin_call(self, ctx: Context) -> None:
        """Called, before on_bar, at a close where the margin has become short, and not again until it was enough."""
