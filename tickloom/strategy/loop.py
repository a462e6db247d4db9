"""The loop that runs a compiled strategy: bar after bar, fills first, then the close, then `decide`.

It does what the event-driven engine does with the orders of `tickloom.strategy.signals`, by the same formulas
(`pricing.py`) in the same order of operations; docs/backtest.md has the rules in words. It is compiled once for each
strategy, together with the strategy's own code.
"""

from collections.abc import Callable
from math import inf, nan, sqrt
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT
from tickloom.kernel import F64, I8, I64, Bool, borrowing, has_file, inlined_borrowing, plain
from tickloom.strategy.pricing import (
    entry_quantity,
    impact_rate,
    liquidation_price,
    stop_distance,
    stop_price,
    taker_price,
)
from tickloom.strategy.rules import NO_IMPACT, Rules

YEAR_US = 365 * 86_400_000_000

MARKET, LIMIT, SIGNAL, STOP, TARGET, TRAIL, LIQUIDATION = range(7)
"""What a fill was: an entry at the market or by a limit order; an exit on a signal, at the stop, the target, the
trailing stop, or because the margin was used up."""

TAGS = ("market", "limit", "signal", "stop", "target", "trailing_stop", "liquidation")
"""Their names, as the event-driven engine calls them."""


class Market(NamedTuple):
    """Bars in time order, (n_bars,) each; volume, volatility and stop_unit are (0,) where they are not known.

    stop_unit  what rules with a `stop_multiple` count the stop's distance in, as known at the close
    """

    open: F64
    high: F64
    low: F64
    close: F64
    ts_close: I64
    volume: F64
    volatility: F64
    stop_unit: F64


class Bar(NamedTuple):
    """The bar that has just closed: its number, its close in microseconds UTC, quote per base, base traded or NaN."""

    number: int
    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Account(NamedTuple):
    """The account at that close.

    cash         quote currency
    position     signed base
    entry_price  the fill that opened the position; NaN without one
    """

    cash: float
    position: float
    entry_price: float


class Fills(NamedTuple):
    """Fills in order, (n_fills,). price has the slippage in it; position and cash are the account's after the fill."""

    bar: I64
    side: I8
    quantity: F64
    price: F64
    fee: F64
    is_maker: Bool
    tag: I8
    position: F64
    cash: F64


class Ended(NamedTuple):
    """The account after the last bar."""

    n_fills: int
    cash: float
    position: float


class _Held(NamedTuple):
    """What is held: side 0 is nothing. stop and goal are prices times the side; cash is what the entry left.

    stop_loss   where its stop-loss stands, a price
    inside_bar  the bar within which it was entered; -1 where it was at an open
    """

    side: int
    quantity: float
    fill: float
    fee: float
    cash: float
    stop_loss: float
    stop: float
    goal: float
    inside_bar: int


class _Entry(NamedTuple):
    """The entry on its way; side 0: none. It rests from bar first to bar last; its stop is `distance` from the fill."""

    side: int
    limit: float
    first: int
    last: int
    distance: float


def new_fills(n_fills: int) -> Fills:
    """Return room for `n_fills`; those beyond it are counted and not kept."""
    kinds = {"bar": np.int64, "side": np.int8, "is_maker": np.bool_, "tag": np.int8}
    return Fills(*(np.empty(n_fills, kinds.get(name, np.float64)) for name in Fills._fields))


@inlined_borrowing
def _impact(market: Market, rules: Rules, i: int, quantity: float) -> float:
    """Return how far a fill of `quantity` in bar i moves its own price."""
    if rules.impact_kind == NO_IMPACT:
        return 0.0
    volatility = market.volatility[i - 1] if market.volatility.size else nan
    span = volatility * sqrt((market.ts_close[i] - market.ts_close[i - 1]) / YEAR_US)
    return impact_rate(rules, quantity, market.volume[i] if market.volume.size else 0.0, span)


@inlined_borrowing
def _enter(
    market: Market, rules: Rules, i: int, entry: _Entry, raw: float, is_maker: bool, is_inside: bool, cash: float
) -> _Held:
    """Return what is held after an entry in bar i at `raw`, the price before slippage. Quantity 0: it was refused."""
    side, fill, fee_rate = entry.side, raw, rules.maker_rate
    volatility = market.volatility[i - 1] if market.volatility.size else nan
    if not is_maker:
        fee_rate, fill = rules.commission_rate, taker_price(rules, side, raw, 0.0)
        if rules.impact_kind != NO_IMPACT:
            stop_loss = stop_price(side, fill, rules.stop_loss_rate, entry.distance)
            wanted = entry_quantity(rules, side, cash, fill, fee_rate, volatility, stop_loss)
            fill = taker_price(rules, side, raw, _impact(market, rules, i, wanted))
        fill = min(fill, entry.limit) if side > 0 else max(fill, entry.limit)
    stop_loss = stop_price(side, fill, rules.stop_loss_rate, entry.distance)
    quantity = entry_quantity(rules, side, cash, fill, fee_rate, volatility, stop_loss)
    fee = quantity * fill * fee_rate
    left = cash - (side * (quantity * fill) + fee)
    trail = fill * (1.0 - side * rules.trailing_rate) if rules.trailing_rate > 0.0 else -side * inf
    liquidation = liquidation_price(rules, left, side * quantity)
    nearest = max(stop_loss, trail, liquidation) if side > 0 else min(stop_loss, trail, liquidation)
    goal = side * (fill * (1.0 + side * rules.take_profit_rate)) if rules.take_profit_rate > 0.0 else inf
    return _Held(side, quantity, fill, fee, left, stop_loss, side * nearest, goal, i if is_inside else -1)


@inlined_borrowing
def _limit_fill(market: Market, i: int, entry: _Entry) -> tuple[float, bool, bool]:
    """Return the price at which a resting limit fills in bar i, whether it makes, and whether within the bar; or NaN.

    The first open that satisfies it is taken; later it fills at a better open, or where the price trades through it.
    """
    side, limit, opened = entry.side, entry.side * entry.limit, entry.side * market.open[i]
    if opened < limit or (i == entry.first and opened == limit):
        return market.open[i], i != entry.first, False
    reach = market.low[i] if side > 0 else market.high[i]
    return (entry.limit, True, True) if side * reach < limit else (nan, True, True)


@inlined_borrowing
def _guarded(market: Market, rules: Rules, i: int, held: _Held) -> tuple[int, float, float]:
    """Return what ends the position within bar i (SIGNAL: nothing), the price before slippage, where its stop is then.

    The stop is looked at before the target, unless the bar opens beyond the target. What was entered within the bar
    knows its close alone. A trailing stop moves at the close.
    """
    side, stop, goal, came_inside = held.side, held.stop, held.goal, held.inside_bar == i
    opened, low, high = side * market.open[i], market.low[i], market.high[i]
    if opened > goal and not came_inside:
        return TARGET, market.open[i], stop
    if side * (low if side > 0 else high) <= stop:
        price = side * stop
        at_liquidation = liquidation_price(rules, held.cash, side * held.quantity)
        why = STOP if price == held.stop_loss else LIQUIDATION if price == at_liquidation else TRAIL
        return why, price if came_inside or opened >= stop else market.open[i], stop
    best = side * (market.close[i] if came_inside else high if side > 0 else low)
    if best > goal:
        return TARGET, side * goal, stop
    return SIGNAL, nan, max(stop, best * (1.0 - side * rules.trailing_rate)) if rules.trailing_rate > 0.0 else stop


@inlined_borrowing
def _leave(market: Market, rules: Rules, i: int, held: _Held, tag: int, raw: float, fills: Fills, k: int) -> float:
    """Close the position in bar i at `raw`, write fill k, and return the cash."""
    price, fee_rate = raw, rules.maker_rate
    if tag != TARGET:
        price = taker_price(rules, -held.side, raw, _impact(market, rules, i, held.quantity))
        fee_rate = rules.commission_rate
    fee = held.quantity * price * fee_rate
    cash = held.cash + (held.side * (held.quantity * price) - fee)
    _write(fills, k, i, -held.side, held.quantity, price, fee, tag == TARGET, tag, 0.0, cash)
    return cash


@inlined_borrowing
def _write(
    fills: Fills, k: int, i: int, side: int, quantity: float, price: float, fee: float, is_maker: bool, tag: int,
    position: float, cash: float,
) -> None:  # fmt: skip
    if k < fills.bar.size:
        fills.bar[k], fills.side[k], fills.quantity[k], fills.price[k] = i, side, quantity, price
        fills.fee[k], fills.is_maker[k], fills.tag[k] = fee, is_maker, tag
        fills.position[k], fills.cash[k] = position, cash


@inlined_borrowing
def _no_entry() -> _Entry:
    return _Entry(0, nan, 0, 0, 0.0)


@inlined_borrowing
def _next_entry(market: Market, rules: Rules, i: int, mask: int, is_held: bool, entry: _Entry) -> _Entry:
    """Return the entry that is on its way after the close of bar i, whose mask is `mask`."""
    if entry.side != 0 and mask & (LONG_EXIT if entry.side > 0 else SHORT_EXIT):
        entry = _no_entry()
    long = (mask & (LONG_ENTRY | LONG_EXIT)) == LONG_ENTRY
    short = (mask & (SHORT_ENTRY | SHORT_EXIT)) == SHORT_ENTRY
    if is_held or entry.side != 0 or long == short:
        return entry
    side, distance = 1 if long else -1, stop_distance(rules, market.stop_unit[i] if market.stop_unit.size else nan)
    if rules.limit_bars == 0:
        return _Entry(side, side * inf, i + 1, i + 1, distance)
    limit = market.close[i] * (1.0 - side * rules.limit_rate)
    return _Entry(side, limit, i + 1, i + rules.limit_bars, distance)


@inlined_borrowing
def _arrive(
    market: Market, rules: Rules, i: int, entry: _Entry, cash: float, fills: Fills, k: int
) -> tuple[_Held, bool]:
    """Return what is held after bar i has looked at the entry, and whether the entry is over. Writes fill k."""
    raw, is_maker, is_inside = market.open[i], False, False
    if rules.limit_bars > 0:
        raw, is_maker, is_inside = _limit_fill(market, i, entry)
    if raw != raw:
        return _nothing(cash), i == entry.last
    held = _enter(market, rules, i, entry, raw, is_maker, is_inside, cash)
    if not held.quantity > 0.0:
        return _nothing(cash), True
    tag = LIMIT if rules.limit_bars > 0 else MARKET
    position = held.side * held.quantity
    _write(fills, k, i, held.side, held.quantity, held.fill, held.fee, is_maker, tag, position, held.cash)
    return held, True


@inlined_borrowing
def _nothing(cash: float) -> _Held:
    return _Held(0, 0.0, nan, 0.0, cash, nan, -inf, inf, -1)


def _decide(_bar: Bar, _account: Account, state: Any, _parameters: Any) -> tuple[int, Any]:
    """Decide nothing. In the loop that is made for a strategy, its own function stands in this place."""
    return 0, state


def _play(market: Market, rules: Rules, state: Any, parameters: Any, fills: Fills, equity: F64, masks: I8) -> Ended:
    """Play all bars. Writes fills, the equity at each close and what was decided there, where they have room."""
    k, leaves, held, entry = 0, False, _nothing(rules.initial_cash), _no_entry()
    for i in range(market.close.size):
        if leaves:
            held = _nothing(_leave(market, rules, i, held, SIGNAL, market.open[i], fills, k))
            k, leaves = k + 1, False
        if entry.side != 0:
            held, is_over = _arrive(market, rules, i, entry, held.cash, fills, k)
            k += held.side != 0
            if is_over:
                entry = _no_entry()
        if held.side != 0:
            tag, raw, stop = _guarded(market, rules, i, held)
            if tag != SIGNAL:
                held, k = _nothing(_leave(market, rules, i, held, tag, raw, fills, k)), k + 1
            elif stop != held.stop:
                held = _Held(
                    held.side,
                    held.quantity,
                    held.fill,
                    held.fee,
                    held.cash,
                    held.stop_loss,
                    stop,
                    held.goal,
                    held.inside_bar,
                )
        close, position = market.close[i], held.side * held.quantity
        volume = market.volume[i] if market.volume.size else nan
        bar = Bar(i, market.ts_close[i], market.open[i], market.high[i], market.low[i], close, volume)
        mask, state = _decide(bar, Account(held.cash, position, held.fill), state, parameters)
        if equity.size:
            equity[i], masks[i] = held.cash + position * close, mask
        if mask != 0:
            leaves = held.side != 0 and mask & (LONG_EXIT if held.side > 0 else SHORT_EXIT) != 0
            entry = _next_entry(market, rules, i, mask, held.side != 0 and not leaves, entry)
    return Ended(k, held.cash, held.side * held.quantity)


def loop_of(decide: Callable[..., tuple[int, Any]], name: str) -> Callable[..., Ended]:
    """Return the loop with `decide` in it, compiled at its first call and kept on disk under `name`.

    It is the same code with another global, so that what numba keeps of it on disk is found again by any process and
    thrown away when the file of `decide` changes, wherever that is.
    """
    own = FunctionType(_play.__code__, {**globals(), "_decide": decide}, _play.__name__)
    own.__qualname__, own.__module__, own.__doc__ = f"_play_{name}", __name__, _play.__doc__
    return borrowing(own, cache=has_file(plain(decide)))
