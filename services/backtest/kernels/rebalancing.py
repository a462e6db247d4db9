"""Orders of many symbols on one account: sized at a close, filled at each symbol's next open.

Positions are made smaller before any is made larger, sells before buys. What makes positions larger is cut by one
common factor to what the limits leave at the prices of the fill, so it does not depend on the order of the symbols.
"""

import numpy as np

from services.backtest.kernels.portfolio_types import (
    BY_REBALANCE,
    BY_SIGNAL,
    GROSS_AT_FILL,
    NET_AT_FILL,
    Book,
    Events,
    Fills,
    Holdings,
    Markets,
    Plan,
)
from tickloom.kernel import inlined_borrowing
from tickloom.strategy.pricing import sized, taker_price
from tickloom.strategy.rules import Rules

DUST = 1e-9
"""A change below this share of equity is rounding: it sends no order, and what is left of one fills nothing."""
N_FILLS, N_TRADES, N_EVENTS, N_REFUSED = range(4)


@inlined_borrowing
def exposures(book: Book) -> tuple[float, float, float]:
    """Return equity, gross and net exposure at the marks, quote currency."""
    gross, net = 0.0, 0.0
    for s in range(book.position.size):
        worth = book.position[s] * book.mark[s]
        gross, net = gross + abs(worth), net + worth
    return book.cash[0] + net, gross, net


@inlined_borrowing
def tell(book: Book, events: Events, ts: int, limit: int, found: float, allowed: float) -> None:
    """Note that a limit fired."""
    k = book.counts[N_EVENTS]
    events.ts[k], events.limit[k], events.found[k], events.allowed[k] = ts, limit, found, allowed
    book.counts[N_EVENTS] = k + 1


@inlined_borrowing
def order_weights(book: Book, equity: float, everybody: bool) -> None:
    """Send the orders that make the weights of all symbols, or of those whose signal changed, what they shall be."""
    for s in range(book.position.size):
        if not everybody and not book.changed[s]:
            continue
        book.order[s] = 0.0
        if not book.mark[s] > 0.0:
            continue
        position = book.position[s]
        wanted = book.weight[s] * equity / book.mark[s]
        if wanted == 0.0 or abs(wanted - position) * book.mark[s] > DUST * equity:
            book.order[s] = wanted - position
            turns = wanted * position <= 0.0
            book.why[s] = BY_SIGNAL if turns else BY_REBALANCE


@inlined_borrowing
def order_flat(book: Book, why: int) -> None:
    """Send the orders that close every position."""
    for s in range(book.position.size):
        book.order[s] = -book.position[s]
        book.why[s] = why


@inlined_borrowing
def write_trade(book: Book, trades: Holdings, s: int, bar: int, reason: int) -> None:
    """Write the trade of symbol `s` that ends in `bar`, or that is open at the end (bar -1)."""
    k, side = book.counts[N_TRADES], 1.0 if book.position[s] > 0.0 else -1.0
    worth = abs(book.position[s]) * book.mark[s] if bar < 0 else 0.0
    trades.symbol[k], trades.entry_bar[k], trades.exit_bar[k] = s, book.entry_bar[s], bar
    trades.side[k], trades.quantity[k], trades.reason[k] = side, book.entered[s], reason
    trades.entry_fill[k] = book.entered_for[s] / book.entered[s]
    trades.exit_fill[k] = np.nan if bar < 0 else book.left_for[s] / book.entered[s]
    trades.fees[k], trades.slippage[k] = book.trade_fees[s], book.trade_slip[s]
    trades.pnl[k] = side * (book.left_for[s] + worth - book.entered_for[s]) - book.trade_fees[s]
    book.counts[N_TRADES] = k + 1


@inlined_borrowing
def fill(
    rules: Rules, book: Book, fills: Fills, trades: Holdings, s: int, bar: int, side: int, q: float, raw: float
) -> None:
    """Take a fill of `q` into the account; what ends a trade is all of its position. raw: the price before slippage."""
    position = book.position[s]
    price = taker_price(rules, side, raw, 0.0)
    fee, slip = q * price * rules.commission_rate, q * (side * (price - raw))
    k = book.counts[N_FILLS]
    fills.symbol[k], fills.bar[k], fills.side[k], fills.quantity[k] = s, bar, side, q
    fills.price[k], fills.fee[k], fills.slippage[k], fills.reason[k] = price, fee, slip, book.why[s]
    book.counts[N_FILLS] = k + 1
    book.cash[0] = book.cash[0] - (side * (q * price) + fee)
    if position == 0.0:
        book.entered[s], book.entered_for[s], book.left_for[s], book.entry_bar[s] = 0.0, 0.0, 0.0, bar
        book.trade_fees[s], book.trade_slip[s] = 0.0, 0.0
    book.trade_fees[s] += fee
    book.trade_slip[s] += slip
    if position * side < 0.0:
        book.left_for[s] += q * price
        if q == abs(position):
            write_trade(book, trades, s, bar, book.why[s])
            book.position[s] = 0.0
            return
    else:
        book.entered[s] += q
        book.entered_for[s] += q * price
    book.position[s] = position + side * q


@inlined_borrowing
def _reduce(
    markets: Markets, rules: Rules, book: Book, fills: Fills, trades: Holdings, s: int, bar: int, side: int
) -> None:
    """Fill the part of an order to `side` that makes the position of symbol `s` smaller, and leave the rest of it."""
    order, position = book.order[s], book.position[s]
    if order * side <= 0.0 or position * side >= 0.0:
        return
    wanted = min(abs(order), abs(position))
    book.order[s] = order - side * wanted
    quantity = abs(position)
    if wanted < abs(position) * (1.0 - DUST):
        quantity = sized(rules, wanted, taker_price(rules, side, markets.open[bar], 0.0))
    if quantity > 0.0:
        fill(rules, book, fills, trades, s, bar, side, quantity, markets.open[bar])
    else:
        book.counts[N_REFUSED] += 1


@inlined_borrowing
def _leeway(now: float, more: float, most: float, equity: float, costs: float) -> float:
    """Return the largest part x <= 1 with now + x * more <= most * (equity - x * costs); at least 0."""
    slope = more + most * costs
    if slope <= 0.0:
        return 1.0
    return max(min((most * equity - now) / slope, 1.0), 0.0)


@inlined_borrowing
def _cut_to_room(markets: Markets, rules: Rules, plan: Plan, book: Book, events: Events, step: int) -> None:
    """Cut the orders that are left to the room that the limits leave at the prices of the fill, costs paid."""
    equity, gross, net = exposures(book)
    more_gross, more_net, costs = 0.0, 0.0, 0.0
    for e in range(markets.step_first[step], markets.step_first[step + 1]):
        s, raw = markets.event_symbol[e], markets.open[markets.event_bar[e]]
        order, side = book.order[s], 1 if book.order[s] > 0.0 else -1
        price = taker_price(rules, side, raw, 0.0)
        more_gross, more_net = more_gross + abs(order) * raw, more_net + order * raw
        costs += abs(order) * (side * (price - raw) + price * rules.commission_rate)
    of_gross = _leeway(gross, more_gross, plan.max_gross, equity, costs)
    of_net = 1.0
    if more_net > 0.0:
        of_net = _leeway(net, more_net, plan.max_net, equity, costs)
    elif more_net < 0.0:
        of_net = _leeway(-net, -more_net, plan.max_net, equity, costs)
    if equity > 0.0:
        if of_gross < 1.0 - DUST:
            tell(book, events, markets.step_ts[step], GROSS_AT_FILL, (gross + more_gross) / equity, plan.max_gross)
        if of_net < of_gross and of_net < 1.0 - DUST:
            tell(book, events, markets.step_ts[step], NET_AT_FILL, (net + more_net) / equity, plan.max_net)
    part = min(of_gross, of_net)
    # The cap of a single symbol is held by the equity that is left when all costs are paid.
    after = equity - part * costs
    most = min(plan.max_weight, plan.floor_weight) * after
    for e in range(markets.step_first[step], markets.step_first[step + 1]):
        s = markets.event_symbol[e]
        left = max(most - abs(book.position[s]) * book.mark[s], 0.0) / book.mark[s]
        quantity = min(part * abs(book.order[s]), left)
        if quantity * book.mark[s] <= DUST * after:  # where there is no room, rounding leaves some
            quantity = 0.0
        book.order[s] = quantity if book.order[s] > 0.0 else -quantity


@inlined_borrowing
def fill_orders(
    markets: Markets, rules: Rules, plan: Plan, book: Book, fills: Fills, trades: Holdings, events: Events, step: int
) -> None:
    """Fill the orders of the symbols whose bars open in this step. What is not filled of an order is cancelled."""
    first, last = markets.step_first[step], markets.step_first[step + 1]
    any_order = False
    for e in range(first, last):
        book.mark[markets.event_symbol[e]] = markets.open[markets.event_bar[e]]
        any_order = any_order or book.order[markets.event_symbol[e]] != 0.0
    if not any_order:
        return
    for side in (-1, 1):
        for e in range(first, last):
            _reduce(markets, rules, book, fills, trades, markets.event_symbol[e], markets.event_bar[e], side)
    _cut_to_room(markets, rules, plan, book, events, step)
    for e in range(first, last):
        s, bar = markets.event_symbol[e], markets.event_bar[e]
        order, side = book.order[s], 1 if book.order[s] > 0.0 else -1
        book.order[s] = 0.0
        if order == 0.0:
            continue
        quantity = sized(rules, abs(order), taker_price(rules, side, markets.open[bar], 0.0))
        if quantity > 0.0:
            fill(rules, book, fills, trades, s, bar, side, quantity, markets.open[bar])
        else:
            book.counts[N_REFUSED] += 1
