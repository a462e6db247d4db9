"""What happened inside a bar, from that bar's own trades, where its four prices do not decide it.

A bar says how far the price went, not in which order. Mostly no order matters. Where one does (`is_contested`), the
bar's trades are walked through. Elsewhere they need not be looked at: walking through the trades of every bar gives the
same account, and the suite does so. docs/backtest.md has an example.

All prices here are long prices: those of a short are their negatives, so that a stop is below and a target above.
"""

from typing import Final, NamedTuple

import numpy as np

from services.backtest.kernels.types import Prices
from tickloom.kernel import F64, I64, inlined_borrowing

BY_BARS, BY_TRADES, BY_GUESS = 0, 1, 2
"""What decided a trade: the prices of bars alone; inside a bar, its trades; inside a bar, the usual guess."""

CLOSED: Final = -1
"""A bar that was not opened: when its trades are needed, it is noted."""

SEALED: Final = -2
"""A bar that cannot be opened."""

BARS_DO: Final = -3
"""A bar whose trades are not needed."""


class Inside(NamedTuple):
    """The trades of the bars that were opened, and room for those that are to be.

    fills       fills are priced by trades, see `trades_price`; else by their levels and by opens, as on bars alone
    begin, end  (n_bars,) the bar's trades in `price`; begin is CLOSED or SEALED without them; (0,): all are SEALED
    price       (n,) quote per base, in the order of trade ids within a bar
    wanted      (n_bars,) written: the CLOSED bars that were needed, ascending; (0,) with begin
    """

    fills: bool
    begin: I64
    end: I64
    price: F64
    wanted: I64


ALONE: Final = Inside(False, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))
"""Bars alone."""


@inlined_borrowing
def trades_price(inside: Inside) -> bool:
    """Return whether trades price the fills: a stop reached inside a bar at the trade that reached it, and a limit
    that rested at the limit, where the bar's first trade is beyond it too. That trade is the open of any bar.
    """
    return inside.fills and inside.begin.size > 0


class Walk(NamedTuple):
    """How far a bar's trades brought a position.

    at     the trade that ended it, counted from the bar's first; -1: none did
    level  the stop or the target reached; if none was, where the stop stands now
    price  of the trade that ended it
    """

    at: int
    level: float
    price: float


@inlined_borrowing
def is_contested(low: float, top: float, close: float, level: float, goal: float, raised: float, within: bool) -> bool:
    """Return whether the order of the prices within a bar decides what becomes of a position.

    low, top     how far the bar went against the position and in its favour; its open reached neither stop nor target
    level, goal  the nearest stop, and the target
    raised       how far the trailing stop could have been moved on the way to `top` or the target, -inf without one
    within       the position was entered within this bar, where it went below the entry

    Without a target in reach and a trailing stop that could move, there is one way for it to end.
    """
    if not (top > goal or raised > level):
        return False
    if within:  # it ends at the target whatever came before, if it is beyond it at the close and no stop is in reach
        return not (close > goal and low > max(level, raised))
    return low <= max(level, raised)


@inlined_borrowing
def state_of(
    prices: Prices, inside: Inside, bar: int, side: float, level: float, goal: float, keep: float, within: bool
) -> int:
    """Return BARS_DO where the bar's prices decide; else the first of its trades in `inside`, CLOSED, or SEALED."""
    if not within and side * prices.open[bar] <= level:
        return BARS_DO  # the open is its first trade
    low, top = (prices.low[bar], prices.high[bar]) if side > 0.0 else (-prices.high[bar], -prices.low[bar])
    raised = min(top, goal) * keep if keep != 0.0 else -np.inf
    is_priced = inside.fills and low <= level
    if not is_priced and not is_contested(low, top, side * prices.close[bar], level, goal, raised, within):
        return BARS_DO
    return inside.begin[bar] if inside.begin.size else SEALED


@inlined_borrowing
def walk(inside: Inside, bar: int, side: float, entry: float, level: float, goal: float, keep: float) -> Walk:
    """Return what becomes of a position in an opened bar, trade by trade.

    entry  -inf, or the limit at which it is entered within the bar: by the first trade that goes through it
    keep   the trailing stop is the best price times this; 0 without one

    A stop ends it at the first trade that reaches it, a target at the first that trades through it. The trade that
    enters can stop out as well.
    """
    begin, end = inside.begin[bar], inside.end[bar]
    first = begin
    while begin < end and entry > -np.inf and not side * inside.price[begin] < entry:
        begin += 1
    for k in range(begin, end):
        price = side * inside.price[k]
        if price <= level:
            return Walk(k - first, level, price)
        if price > goal:
            return Walk(k - first, goal, goal)
        if keep != 0.0:
            level = max(level, price * keep)
    return Walk(-1, level, level)
