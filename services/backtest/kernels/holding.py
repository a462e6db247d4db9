"""Holding a position until a bar ends it."""

from typing import NamedTuple

import numpy as np

from services.backtest.kernels.inside import BARS_DO, BY_BARS, BY_GUESS, BY_TRADES, CLOSED, Inside, state_of, walk
from services.backtest.kernels.types import Marks, Prices
from tickloom.kernel import inlined_borrowing


class Guard(NamedTuple):
    """The prices that end a position while it is held; those there are not are out of reach.

    stop           the nearer of stop-loss, first trailing stop and liquidation
    target         of the take-profit
    trailing_rate  by which the trailing stop follows the best price; 0: there is none
    is_inside      the position was entered within its first bar, after an unknown part of its high and low
    entry          the fill that entered it
    """

    stop: float
    target: float
    trailing_rate: float
    is_inside: bool
    entry: float


class Ending(NamedTuple):
    """Where a position ended.

    bar       `until`, if no bar before it ended the position
    level     of the stop or the target reached
    raw       the price that the trades gave, before slippage; NaN: it follows from the level and the bar
    trade     the trade that ended it, counted from its bar's first; -1: bars alone said so
    source    BY_GUESS if any bar was guessed, else BY_TRADES if any was decided by its trades
    n_wanted  bars noted in `wanted` so far
    """

    bar: int
    level: float
    raw: float
    trade: int
    source: int
    n_wanted: int


class Event(NamedTuple):
    """What a bar did to the position.

    ended  whether it ended
    level  of the stop or the target reached, else where the stop stands now
    raw, trade  as in Ending
    state  of the bar, see `state_of`
    """

    ended: bool
    level: float
    raw: float
    trade: int
    state: int


@inlined_borrowing
def _mark(prices: Prices, bar: int, cash: float, position: float, marks: Marks) -> Marks:
    """Mark the close of one bar; `equity_sum` is left as it is."""
    peak, peak_bar, trough, worst, longest, total = marks
    equity = cash + position * prices.close[bar]
    if equity >= peak:
        if trough < peak:
            worst = min(worst, trough / peak - 1.0)
            longest = max(longest, prices.ts_close[bar] - prices.ts_close[peak_bar])
        return Marks(equity, bar, equity, worst, longest, total)
    return Marks(peak, peak_bar, min(trough, equity), worst, longest, total)


@inlined_borrowing
def _event(
    prices: Prices, inside: Inside, bar: int, side: float, guard: Guard, level: float, keep: float, within: bool
) -> Event:
    """Return what a bar does to the position, which may be nothing.

    level   the nearest stop, a long price
    within  the position was entered within this bar
    """
    goal = side * guard.target
    if side * prices.open[bar] > goal and not within:
        return Event(True, goal, np.nan, -1, BARS_DO)
    state = state_of(prices, inside, bar, side, level, goal, keep, within)
    if state >= 0:
        found = walk(inside, bar, side, side * guard.entry if within else -np.inf, level, goal, keep)
        return Event(found.at >= 0, found.level, side * (found.price if inside.fills else found.level), found.at, state)
    low, top = (prices.low[bar], prices.high[bar]) if side > 0.0 else (-prices.high[bar], -prices.low[bar])
    if low <= level:
        return Event(True, level, np.nan, -1, state)
    best = side * prices.close[bar] if within else top
    if best > goal:
        return Event(True, goal, np.nan, -1, state)
    return Event(False, max(level, best * keep) if keep != 0.0 else level, np.nan, -1, state)


@inlined_borrowing
def _quiet(
    prices: Prices, start: int, until: int, guard: Guard, level: float, cash: float, position: float, marks: Marks
) -> tuple[int, float, Marks]:
    """Pass over bars in which nothing can happen; return the first other one, or `until`, the stop, and the marks."""
    side = 1.0 if position > 0.0 else -1.0
    reach, favour = (prices.low, prices.high) if side > 0.0 else (prices.high, prices.low)
    goal, trails = side * guard.target, guard.trailing_rate > 0.0
    is_guarded, keep, i = goal < np.inf or trails, 1.0 - side * guard.trailing_rate, until
    for k in range(start, until):
        threat = level
        if is_guarded:
            best = side * favour[k]
            if best > goal:
                i = k
                break
            if trails:
                threat = max(level, best * keep)
        if side * reach[k] <= threat:
            i = k
            break
        level = threat
        marks = _mark(prices, k, cash, position, marks)
    return i, level, marks


@inlined_borrowing
def hold(
    prices: Prices,
    start: int,
    until: int,
    guard: Guard,
    cash: float,
    position: float,
    marks: Marks,
    inside: Inside,
    n_wanted: int,
) -> tuple[Ending, Marks]:
    """Hold `position` over bars [start, until) until one ends it; return where, and the marks.

    Where trades do not decide, the stop is looked at before the target, unless the bar opens beyond the target; and a
    target is reached by trading through it. A trailing stop moves at the close of a bar. A bar entered inside moves it
    by its close alone, and reaches a target by its close alone: the rest may have come before. The bar that ends the
    position is not marked: the position is gone at its close.
    """
    side = 1.0 if position > 0.0 else -1.0
    keep = 1.0 - side * guard.trailing_rate if guard.trailing_rate > 0.0 else 0.0
    level, raw, trade, source, i = side * guard.stop, np.nan, -1, BY_BARS, start
    while i < until:
        within = guard.is_inside and i == start
        if not within:
            i, level, marks = _quiet(prices, i, until, guard, level, cash, position, marks)
            if i == until:
                break
        event = _event(prices, inside, i, side, guard, level, keep, within)
        level, raw, trade = event.level, event.raw, event.trade
        if event.state != BARS_DO:
            source = max(source, BY_TRADES if event.state >= 0 else BY_GUESS)
            if event.state == CLOSED:
                inside.wanted[n_wanted] = i
                n_wanted += 1
        if event.ended:
            break
        marks = _mark(prices, i, cash, position, marks)
        i += 1
    total = marks.equity_sum + (cash * (i - start) + position * (prices.close_sum[i] - prices.close_sum[start]))
    marks = Marks(marks.peak, marks.peak_bar, marks.trough, marks.max_drawdown, marks.max_under_us, total)
    return Ending(i, side * level, raw, trade, source, n_wanted), marks
