"""One position from its entry to its end: size, costs, the prices that guard it, the money that comes of it."""

from typing import NamedTuple

import numpy as np

from services.backtest.kernels.holding import Ending, Guard
from services.backtest.kernels.types import (
    AT_OPEN,
    INSIDE,
    LIQUIDATION,
    OPEN,
    SIGNAL,
    STOP,
    TARGET,
    TRAIL,
    Prices,
)
from tickloom.kernel import inlined_borrowing
from tickloom.strategy.pricing import (
    entry_quantity,
    impact_rate,
    liquidation_price,
    stop_distance,
    stop_price,
    taker_price,
)
from tickloom.strategy.rules import Rules

YEAR_US = 365 * 86_400_000_000


class Position(NamedTuple):
    """A position just entered; `cash` is what is left of it. quantity 0: the entry was refused.

    slippage  what the entry cost beyond its price without slippage, spread and impact, quote currency
    stop      the price of its stop-loss, infinitely far on the losing side if there is none
    """

    bar: int
    side: int
    quantity: float
    fill: float
    kind: int
    fee: float
    cash: float
    slippage: float
    stop: float


class Settled(NamedTuple):
    """A trade's end: why, and what came in and went out, in quote currency. Nothing has left an open trade.

    slippage  what the exit cost beyond its price without slippage, spread and impact
    """

    reason: int
    exit_fill: float
    exit_fee: float
    exit_notional: float
    pnl: float
    slippage: float


@inlined_borrowing
def known_volatility(prices: Prices, bar: int) -> float:
    """Return the volatility over a year as known when `bar` opens."""
    return prices.volatility[bar - 1] if prices.volatility.size else np.nan


@inlined_borrowing
def known_distance(prices: Prices, rules: Rules, bar: int) -> float:
    """Return how far from its fill an entry that was signalled at the close of `bar` has its stop."""
    return stop_distance(rules, prices.stop_unit[bar] if prices.stop_unit.size else np.nan)


@inlined_borrowing
def fill_impact(prices: Prices, rules: Rules, bar: int, quantity: float) -> float:
    """Return how far a fill of `quantity` in `bar` moves its own price."""
    if not prices.volume.size:
        return 0.0
    span = (prices.ts_close[bar] - prices.ts_close[bar - 1]) / YEAR_US
    return impact_rate(rules, quantity, prices.volume[bar], known_volatility(prices, bar) * np.sqrt(span))


@inlined_borrowing
def enter(
    prices: Prices, rules: Rules, bar: int, side: int, raw: float, kind: int, limit: float, known: int, cash: float
) -> Position:
    """Return the position entered in `bar` at `raw`, the price before slippage.

    limit  the fill is no worse; infinitely far away for an entry at the market
    known  the bar at whose close the entry was signalled

    The impact is that of the quantity before its own impact makes it smaller.
    """
    volatility, fee_rate, fill = known_volatility(prices, bar), rules.maker_rate, raw
    distance = known_distance(prices, rules, known)
    if kind == AT_OPEN:
        fee_rate, fill = rules.commission_rate, taker_price(rules, side, raw, 0.0)
        if prices.volume.size:
            stop = stop_price(side, fill, rules.stop_loss_rate, distance)
            wanted = entry_quantity(rules, side, cash, fill, fee_rate, volatility, stop)
            fill = taker_price(rules, side, raw, fill_impact(prices, rules, bar, wanted))
        fill = min(fill, limit) if side > 0 else max(fill, limit)
    stop = stop_price(side, fill, rules.stop_loss_rate, distance)
    quantity = entry_quantity(rules, side, cash, fill, fee_rate, volatility, stop)
    fee = quantity * fill * fee_rate
    left = cash - (side * (quantity * fill) + fee)
    return Position(bar, side, quantity, fill, kind, fee, left, quantity * (side * (fill - raw)), stop)


@inlined_borrowing
def stops_of(rules: Rules, held: Position) -> tuple[float, float, float]:
    """Return where stop-loss, trailing stop (at the entry) and liquidation stand; out of reach if there is none."""
    away = -held.side * np.inf
    trail = held.fill * (1.0 - held.side * rules.trailing_rate) if rules.trailing_rate > 0.0 else away
    return held.stop, trail, liquidation_price(rules, held.cash, held.side * held.quantity)


@inlined_borrowing
def guard_of(rules: Rules, held: Position) -> Guard:
    """Return the prices that end the position."""
    stop, trail, liquidation = stops_of(rules, held)
    nearest = max(stop, trail, liquidation) if held.side > 0 else min(stop, trail, liquidation)
    target = (
        held.fill * (1.0 + held.side * rules.take_profit_rate) if rules.take_profit_rate > 0.0 else held.side * np.inf
    )
    return Guard(nearest, target, rules.trailing_rate, held.kind == INSIDE, held.fill)


@inlined_borrowing
def _why(rules: Rules, held: Position, guard: Guard, level: float) -> int:
    """Return the reason that stands at `level`; of several there, the stop-loss, then the liquidation."""
    stop, _, liquidation = stops_of(rules, held)
    if level == guard.target:
        return TARGET
    if level == stop:
        return STOP
    return LIQUIDATION if level == liquidation else TRAIL


@inlined_borrowing
def settle(
    prices: Prices, rules: Rules, held: Position, guard: Guard, ending: Ending, until: int, by_trades: bool
) -> Settled:
    """Return how the position ends: within a bar, or where its bar is `until`, on a signal or not at all.

    A bar that opens beyond the level fills at its open: never better for a stop, never worse for a target. `by_trades`,
    a target fills at its price there too, for it rested in the book.
    """
    side, last, leave, level = held.side, prices.close.size, ending.bar, ending.level
    if leave == last:
        closed = prices.close[last - 1]
        return Settled(OPEN, closed, 0.0, 0.0, side * held.quantity * (closed - held.fill) - held.fee, 0.0)
    reason, raw = SIGNAL, prices.open[leave]
    if leave < until:
        reason = _why(rules, held, guard, level)
        is_beyond = side * raw < side * level if reason != TARGET else side * raw > side * level and not by_trades
        if ending.trade >= 0:
            raw = ending.raw
        elif not is_beyond or (guard.is_inside and leave == held.bar):
            raw = level
    if reason == TARGET:
        exit_fill, fee_rate = raw, rules.maker_rate
    else:
        exit_fill = taker_price(rules, -side, raw, fill_impact(prices, rules, leave, held.quantity))
        fee_rate = rules.commission_rate
    notional = held.quantity * exit_fill
    pnl = side * held.quantity * (exit_fill - held.fill) - held.fee - notional * fee_rate
    slippage = held.quantity * (side * (raw - exit_fill))
    return Settled(reason, exit_fill, notional * fee_rate, notional, pnl, slippage)
