"""What the engine of many symbols reads, keeps and writes."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tickloom.kernel import F64, I8, I64, Bool

EQUAL, INVERSE_VOLATILITY, VOLATILITY_TARGET = range(3)
"""How the weights of the symbols that are held come about."""

NOBODY, CHANGED, EVERYBODY = range(3)
"""Who is traded when the signal of a symbol changes: nobody until the next rebalancing, that symbol, or all."""

NONE, DRAWDOWN, DAILY_LOSS, MARGIN = range(4)
"""Why nothing may be held."""

BY_SIGNAL, BY_REBALANCE, BY_DRAWDOWN, BY_DAILY_LOSS, BY_MARGIN, STILL_OPEN, BY_LIQUIDATION = range(7)
"""Why an order was sent, and why a trade ended; a halt's reason is its own number + BY_REBALANCE.

BY_MARGIN is at an open, BY_LIQUIDATION inside a bar.
"""

WEIGHT, HOLDINGS, GROSS, NET, GROSS_AT_FILL, NET_AT_FILL, HALT_DRAWDOWN, HALT_DAILY_LOSS, HALT_MARGIN, RESUMED = range(
    10
)
"""Which limit fired."""


class Markets(NamedTuple):
    """The bars of all symbols, one symbol's behind the other's, and their merged timeline.

    open, high, low, close  (n_bars,)  quote per base, finite, > 0, low <= open, close <= high
    volatility         (n_bars,)     of returns over a year, known at the close, NaN before it is; (0,) when not read
    step_ts            (n_steps,)    microseconds UTC, never falling
    step_opens         (n_steps,)    bars open in this step; otherwise bars close in it
    step_first         (n_steps + 1,) the first event of each step
    event_symbol       (n_events,)   rising within a step, where each symbol occurs once
    event_bar          (n_events,)   index into open and close
    """

    open: F64
    high: F64
    low: F64
    close: F64
    volatility: F64
    step_ts: I64
    step_opens: Bool
    step_first: I64
    event_symbol: I64
    event_bar: I64


class Plan(NamedTuple):
    """How the account is spread and what holds it back; 0 is "none" except where it says otherwise.

    target        gross exposure shared out, a fraction of equity; VOLATILITY_TARGET: volatility a year of each symbol
    every_us      length of the periods that end in a rebalancing; they are counted from anchor_us
    threshold     distance of a weight from its target that is rebalanced
    max_weight    of a symbol, absolute; floor_weight: the one that holdings of a least number leave to each
    max_gross     sum of absolute weights; max_net: absolute sum of weights
    max_drawdown  from the highest equity since the last such halt ended; max_daily_loss: from the day before
    cooldown_us   from a halt until something is entered again; after a drawdown 0 is for ever
    """

    weighting: int
    target: float
    on_signal: int
    every_us: int
    anchor_us: int
    threshold: float
    max_weight: float
    floor_weight: float
    max_gross: float
    max_net: float
    max_drawdown: float
    max_daily_loss: float
    cooldown_us: int


class Book(NamedTuple):
    """The account between two events; arrays are (n_symbols,) and written in place, `cash` and `counts` too.

    cash        (1,)  quote currency
    position    signed base; mark: the last price known, 0 before the first
    held        side that the signal wants; changed: it was another at the last close
    weight      target, signed share of equity; order: signed base, to be filled at the symbol's next open; why: its
                reason
    entered, entered_for, left_for  of the trade that is open: base, notional in, notional out; trade_fees, trade_slip
    entry_bar   where the open trade began
    cut         (4,)  what WEIGHT, HOLDINGS, GROSS and NET cut back at this close, NaN where nothing
    counts      (4,)  fills, trades, events, refused orders so far
    """

    cash: F64
    position: F64
    mark: F64
    volatility: F64
    held: I8
    changed: Bool
    weight: F64
    order: F64
    why: I8
    entered: F64
    entered_for: F64
    left_for: F64
    trade_fees: F64
    trade_slip: F64
    entry_bar: I64
    cut: F64
    counts: I64


class Fills(NamedTuple):
    """Every fill in order, (n_fills,). slippage: quote currency, what the fill cost beyond its price without it."""

    symbol: I64
    bar: I64
    side: I8
    quantity: F64
    price: F64
    fee: F64
    slippage: F64
    reason: I8


class Holdings(NamedTuple):
    """The trades, in the order in which they end, (n_trades,): a symbol's position from flat to flat, or to a turn.

    Fills are averages by quantity; quantity is all that was entered. An open trade has exit_bar -1 and exit_fill NaN;
    its pnl has what was left of it so far, and the rest at the last price.
    """

    symbol: I64
    entry_bar: I64
    exit_bar: I64
    side: I8
    quantity: F64
    entry_fill: F64
    exit_fill: F64
    fees: F64
    slippage: F64
    pnl: F64
    reason: I8


class Events(NamedTuple):
    """The limits that fired, in order, (n_events,): what was wanted or found, and what is allowed."""

    ts: I64
    limit: I8
    found: F64
    allowed: F64


class AccountCurve(NamedTuple):
    """The account at each moment at which bars close, (n_closes,): cash + sum(position * mark) = equity.

    gross, net  quote currency: sums of |position * mark| and of position * mark
    n_held      symbols with a position; position: (n_closes, n_symbols), or (0, n_symbols) when it is not kept
    """

    ts: I64
    equity: F64
    cash: F64
    gross: F64
    net: F64
    n_held: I64
    position: F64


def written(columns: Iterable[Any], n: int) -> Iterator[Any]:
    """Yield the part of each column that was written."""
    return (column[:n] for column in columns)


def room(fields: tuple[str, ...], n: int) -> list[Any]:
    """Return an array for each field, (n,), of its kind."""
    kinds: dict[str, Any] = dict.fromkeys(("symbol", "bar", "entry_bar", "exit_bar", "ts", "n_held"), np.int64)
    kinds |= dict.fromkeys(("side", "reason", "limit", "held", "why"), np.int8)
    return [np.zeros(n, kinds.get(name, np.float64)) for name in fields]
