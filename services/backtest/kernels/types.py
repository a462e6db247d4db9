"""What the engine reads and what it writes."""

from typing import NamedTuple

import numpy as np

from tickloom.kernel import F64, I8, I64, kernel

SIGNAL, STOP, OPEN = 0, 1, 2
"""Why a trade ended: on an exit signal, at its stop, or not at all (the data ended first)."""


class Prices(NamedTuple):
    """One symbol's bars, in time order. All arrays are (n_bars,), n_bars >= 1.

    open, high, low, close  quote per base, finite, > 0, low <= open, close <= high
    ts_close                microseconds UTC, never falling
    day                     0 for the first bar's UTC day, 1 for the day after it, ...; days without a bar are skipped
    """

    open: F64
    high: F64
    low: F64
    close: F64
    ts_close: I64
    day: I64


class Rules(NamedTuple):
    """The account's rules: money in quote currency, rates as fractions.

    fraction        share of equity that an entry puts to work, costs included; 1: full capital
    stop_loss_rate  distance of the stop from the entry fill; 0: no stop
    """

    initial_cash: float
    fraction: float
    commission_rate: float
    slippage_rate: float
    stop_loss_rate: float


class Marks(NamedTuple):
    """What is known of the equity at the closes of the bars so far.

    peak, peak_ts  the highest equity, and the last close at which it stood
    is_under       whether the equity is below its peak now
    max_drawdown   the lowest equity / peak - 1, at most 0
    max_under_us   the longest time from a peak to the close that regained it, or to the last close
    equity_sum     over the bars
    """

    peak: float
    peak_ts: int
    is_under: bool
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
    """The account at the last close. `position` is signed base; 0 when no trade is open."""

    n_trades: int
    cash: float
    position: float
    equity: float
    marks: Marks
    tally: Tally


class Curve(NamedTuple):
    """The account at the close of each bar, (n_bars,): cash + position * close = equity."""

    cash: F64
    position: F64
    equity: F64


class Trades(NamedTuple):
    """The trades in order, (n_trades,). An open trade (the last, if any) has exit_bar -1 and exit_fill NaN.

    side +1 long, -1 short; quantity base, > 0; fills quote per base with slippage in them; fees and pnl quote, the pnl
    net of fees, for an open trade marked to the last close before any fee of leaving.
    """

    entry_bar: I64
    exit_bar: I64
    side: I8
    quantity: F64
    entry_fill: F64
    exit_fill: F64
    fees: F64
    pnl: F64
    reason: I8


@kernel
def new_curve(n_bars: int) -> Curve:
    """Return room for `n_bars` closes; none asks the engine not to keep the curve."""
    return Curve(np.empty(n_bars, np.float64), np.empty(n_bars, np.float64), np.empty(n_bars, np.float64))


@kernel
def new_trades(n_trades: int) -> Trades:
    """Return room for `n_trades` trades; those beyond it are tallied and not kept."""
    return Trades(
        np.empty(n_trades, np.int64),
        np.empty(n_trades, np.int64),
        np.empty(n_trades, np.int8),
        np.empty(n_trades, np.float64),
        np.empty(n_trades, np.float64),
        np.empty(n_trades, np.float64),
        np.empty(n_trades, np.float64),
        np.empty(n_trades, np.float64),
        np.empty(n_trades, np.int8),
    )
