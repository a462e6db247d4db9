"""Margin of many symbols on one account: where equity is down to the maintenance, inside bars and at opens.

Bars that close at one moment are taken to reach their worst prices at one moment: low for a long, high for a short. On
the straight way there equity and maintenance are both linear, so where they meet is one division.
"""

import numpy as np

from services.backtest.kernels.portfolio_types import (
    BY_LIQUIDATION,
    BY_MARGIN,
    HALT_MARGIN,
    Book,
    Events,
    Fills,
    Holdings,
    Markets,
    Plan,
)
from services.backtest.kernels.rebalancing import exposures, fill, fill_orders, order_flat, tell
from tickloom.kernel import inlined_borrowing
from tickloom.strategy.rules import Rules


@inlined_borrowing
def _worst(markets: Markets, book: Book, s: int, bar: int) -> float:
    """Return the worst price of a bar for the position of symbol `s`."""
    price: float = markets.low[bar] if book.position[s] > 0.0 else markets.high[bar]
    return price


@inlined_borrowing
def _way(markets: Markets, rules: Rules, book: Book, step: int) -> float:
    """Return how much of the way from their opens to their worst prices the bars that close leave to the account.

    It is in (0, 1], or infinite where equity stays above the maintenance all the way. At the start it is above.
    """
    equity, gross, _ = exposures(book)
    spare, change = equity - rules.maintenance_rate * gross, 0.0
    for e in range(markets.step_first[step], markets.step_first[step + 1]):
        s = markets.event_symbol[e]
        if book.position[s] != 0.0:
            moved = _worst(markets, book, s, markets.event_bar[e]) - book.mark[s]
            change += (book.position[s] - rules.maintenance_rate * abs(book.position[s])) * moved
    return spare / -change if spare + change <= 0.0 else np.inf


@inlined_borrowing
def liquidated(
    markets: Markets, rules: Rules, book: Book, fills: Fills, trades: Holdings, events: Events, step: int
) -> bool:
    """Sell what the bars that close in this step hold where equity is down to the maintenance; return whether it was.

    Symbols whose bars do not close now stand at their last prices, and are left to be sold at their next opens.
    """
    way = _way(markets, rules, book, step)
    if way > 1.0:
        return False
    first, last = markets.step_first[step], markets.step_first[step + 1]
    for e in range(first, last):
        s = markets.event_symbol[e]
        if book.position[s] != 0.0:
            worst = _worst(markets, book, s, markets.event_bar[e])
            at = book.mark[s] + way * (worst - book.mark[s])
            book.mark[s] = max(at, worst) if book.position[s] > 0.0 else min(at, worst)  # its last digit may be beyond
    equity, gross, _ = exposures(book)
    tell(book, events, markets.step_ts[step], HALT_MARGIN, equity, rules.maintenance_rate * gross)
    for e in range(first, last):
        s = markets.event_symbol[e]
        if book.position[s] != 0.0:
            book.why[s] = BY_LIQUIDATION
            side = -1 if book.position[s] > 0.0 else 1
            fill(rules, book, fills, trades, s, markets.event_bar[e], side, abs(book.position[s]), book.mark[s])
    return True


@inlined_borrowing
def called_at_open(
    markets: Markets, rules: Rules, plan: Plan, book: Book, fills: Fills, trades: Holdings, events: Events, step: int
) -> bool:
    """Sell at the opens of this step if equity is down to the maintenance there, after fills; return whether it was.

    Symbols whose bars do not open now are left to be sold at their next opens.
    """
    equity, gross, _ = exposures(book)
    if equity > rules.maintenance_rate * gross:
        return False
    tell(book, events, markets.step_ts[step], HALT_MARGIN, equity, rules.maintenance_rate * gross)
    order_flat(book, BY_MARGIN)
    fill_orders(markets, rules, plan, book, fills, trades, events, step)
    return True
