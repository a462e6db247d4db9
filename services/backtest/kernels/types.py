"""What the engine reads and what it writes."""

from typing import NamedTuple

import numpy as np

from tickloom.kernel import F64, I8, I64

SIGNAL, STOP, OPEN, TARGET, TRAIL, LIQUIDATION = range(6)
"""Why a trade ended: on an exit signal, at its stop, not at all (the data ended first), at its target, at its trailing
stop, or because its margin was used up."""

AT_OPEN, AT_LIMIT, INSIDE = 0, 1, 2
"""How a trade was entered: taking at the open; at the open beyond a limit that rested; at its limit within the bar."""


class Prices(NamedTuple):
    """One symbol's bars, in time order. All arrays are (n_bars,), n_bars >= 1.

    open, high, low, close  quote per base, finite, > 0, low <= open, close <= high
    ts_close                microseconds UTC, never falling
    day                     0 for the first bar's UTC day, 1 for the day after it, ...; days without a bar are skipped
    last_bar                (n_days,): the last bar of each day, for a day without one that of the day before
    close_sum               (n_bars + 1,): the sum of the closes before each bar
    volume                  base traded; read by impact models only, and (0,) without one
    volatility              standard deviation of returns over a year, known at the close; read by impact models and by
                            sizing for a volatility only, and (0,) without either
    stop_unit               what a stop's distance is counted in, quote per base, known at the close, NaN where it is
                            not; read by rules with a `stop_multiple` only, and (0,) without
    """

    open: F64
    high: F64
    low: F64
    close: F64
    ts_close: I64
    day: I64
    last_bar: I64
    close_sum: F64
    volume: F64
    volatility: F64
    stop_unit: F64


class Signal(NamedTuple):
    """What to do, known at the close of a bar: masks of LONG_ENTRY, LONG_EXIT, SHORT_ENTRY and SHORT_EXIT.

    bar   (n_changes,)  strictly increasing, 0 <= bar < n_bars
    mask  (n_changes,)  in force from its bar on until the next change; before the first it is 0
    """

    bar: I64
    mask: I8


class Marks(NamedTuple):
    """What is known of the equity at the closes of the bars so far.

    peak, peak_bar  the highest equity, and the last bar at whose close it stood
    trough          the lowest equity since then; `peak` if none was lower
    max_drawdown    the lowest equity / peak - 1 of the peaks before this one, at most 0
    max_under_us    the longest time from a peak to the close that regained it
    equity_sum      over the bars
    """

    peak: float
    peak_bar: int
    trough: float
    max_drawdown: float
    max_under_us: int
    equity_sum: float


class Tally(NamedTuple):
    """Sums over trades. Open trades count in fees, notional and held_us only; money in quote currency."""

    n_closed: int
    n_won: int
    gross_profit: float
    gross_loss: float
    fees: float
    notional: float
    held_us: int


class Outcome(NamedTuple):
    """The account at the last close.

    position      signed base; 0 when no trade is open
    max_drawdown  the lowest equity / highest equity so far - 1 at any close, at most 0
    max_under_us  the longest time from a peak to the close that regained it, or to the last close
    equity_sum    over the closes of all bars
    n_refused     entries that came to nothing: less than a lot or the least notional, or no volatility known
    n_by_trades   trades in whose bars the order of the prices mattered, and was read from the bars' own trades
    n_by_guess    trades in whose bars it mattered, and was guessed at least once
    n_wanted      bars noted to be opened; without any, the result is final
    """

    n_trades: int
    cash: float
    position: float
    equity: float
    max_drawdown: float
    max_under_us: int
    equity_sum: float
    n_refused: int
    n_by_trades: int
    n_by_guess: int
    n_wanted: int
    tally: Tally


class Curve(NamedTuple):
    """The account at the close of each bar, (n_bars,): cash + position * close = equity."""

    cash: F64
    position: F64
    equity: F64


class Trades(NamedTuple):
    """The trades in order, (n_trades,). An open trade (the last, if any) has exit_bar -1 and exit_fill NaN.

    side +1 long, -1 short; quantity base, > 0; fills quote per base with slippage in them; fees and pnl quote, the pnl
    net of fees, for an open trade marked to the last close before any fee of leaving. slippage, quote, is
    what both fills cost beyond their prices without slippage, spread and impact. kind is how the trade was entered.
    source is what decided it (BY_BARS, BY_TRADES, BY_GUESS), and exit_trade which of its exit bar's trades ended it,
    counted from the bar's first, -1 where the bar alone says so.
    """

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
    kind: I8
    source: I8
    exit_trade: I64


def new_curve(n_bars: int) -> Curve:
    """Return room for `n_bars` closes; none asks the engine not to keep the curve."""
    return Curve(*(np.empty(n_bars) for _ in Curve._fields))


def new_trades(n_trades: int) -> Trades:
    """Return room for `n_trades` trades; those beyond it are tallied and not kept."""
    kinds = {"entry_bar": np.int64, "exit_bar": np.int64, "side": np.int8, "reason": np.int8, "kind": np.int8}
    kinds |= {"source": np.int8, "exit_trade": np.int64}
    return Trades(*(np.empty(n_trades, kinds.get(name, np.float64)) for name in Trades._fields))
