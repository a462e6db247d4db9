"""Bars made from trades with integer sums, so that they agree with the trades to the last digit.

A bar without trades repeats the close before it four times, with zero volume, as the exchange writes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from exchange_sim.calendar import I64
from exchange_sim.intervals import Grid
from exchange_sim.symbols import Rules
from exchange_sim.trades import Day

BASE_PLACES = 8
_SAFE = float(2**62)


@dataclass(frozen=True)
class Bars:
    """Bars in opening order; every array is (n_bars,).

    ts_open, ts_next                microseconds; the bar is [ts_open, ts_next)
    open_, high, low, close         ticks
    volume, taker_volume            lots
    quote_volume, taker_quote       tick-lots; of inverse futures base currency, in units of 10**-BASE_PLACES
    count                           trades
    """

    ts_open: I64
    ts_next: I64
    open_: I64
    high: I64
    low: I64
    close: I64
    volume: I64
    quote_volume: I64
    count: I64
    taker_volume: I64
    taker_quote: I64

    @property
    def n_bars(self) -> int:
        return int(self.ts_open.size)

    def take(self, rows: slice | I64) -> "Bars":
        """Return some of the bars."""
        return Bars(*(getattr(self, field.name)[rows] for field in fields(self)))


def amounts(price: I64, quantity: I64, rules: Rules) -> I64:
    """Return what is exchanged for a quantity at a price: quote currency in tick-lots.

    For contracts it is base currency, in units of 10**-BASE_PLACES, rounded half up.
    """
    if not rules.contract:
        return price * quantity
    worth = rules.contract * 10 ** (BASE_PLACES + rules.price_places)
    if float(np.max(quantity, initial=0)) * worth > _SAFE / 2:
        raise OverflowError("an amount does not fit in 64 bits: use a smaller trades_per_day")
    rounded: I64 = (2 * quantity * worth + price) // (2 * price)
    return rounded


def day_bars(day: Day, grid: Grid, rules: Rules) -> Bars:
    """Return the bars of one day that have trades. The interval is at most a day."""
    opens = grid.open_of(day.ts)
    starts = _starts(opens)
    ends = np.append(starts[1:], opens.size) - 1
    quantity, price = day.event_quantity, day.price
    taken = np.where(day.side > 0, quantity, 0)
    return Bars(
        opens[starts],
        grid.shift(opens[starts], 1),
        price[starts],
        np.maximum.reduceat(price, starts),
        np.minimum.reduceat(price, starts),
        price[ends],
        _sums(quantity, starts),
        _sums(amounts(price, quantity, rules), starts),
        _sums(day.fills, starts),
        _sums(taken, starts),
        _sums(amounts(price, taken, rules), starts),
    )


def join(parts: Sequence[Bars]) -> Bars:
    """Return bars of several days as one."""
    return Bars(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Bars)))


def merge(bars: Bars, grid: Grid) -> Bars:
    """Return wider bars, put together from narrower ones that have trades. At least one bar."""
    opens = grid.open_of(bars.ts_open)
    starts = _starts(opens)
    ends = np.append(starts[1:], opens.size) - 1
    return Bars(
        opens[starts],
        grid.shift(opens[starts], 1),
        bars.open_[starts],
        np.maximum.reduceat(bars.high, starts),
        np.minimum.reduceat(bars.low, starts),
        bars.close[ends],
        _sums(bars.volume, starts),
        _sums(bars.quote_volume, starts),
        _sums(bars.count, starts),
        _sums(bars.taker_volume, starts),
        _sums(bars.taker_quote, starts),
    )


def fill(bars: Bars, opens: I64, grid: Grid, close_before: int | None) -> Bars:
    """Return one bar for each of `opens`, which hold every bar's ts_open; bars without trades stay at the last close.

    close_before  ticks, the last price before opens[0]; None: nothing traded yet; empty bars at the start are left out
    """
    if opens.size == 0 or (bars.n_bars == 0 and close_before is None):
        return bars.take(slice(0, 0))
    row = np.full(opens.size, -1, np.int64)
    row[np.searchsorted(opens, bars.ts_open)] = np.arange(bars.n_bars)
    traded = row >= 0
    last = np.maximum.accumulate(row)
    known = np.append(bars.close, close_before or 0)[last]  # row -1, nothing yet, picks the appended one

    def column(values: I64, empty: I64 | int) -> I64:
        out = np.broadcast_to(np.asarray(empty, np.int64), opens.shape).copy()
        out[traded] = values[row[traded]]
        return out

    filled = Bars(
        opens,
        grid.shift(opens, 1),
        column(bars.open_, known),
        column(bars.high, known),
        column(bars.low, known),
        column(bars.close, known),
        column(bars.volume, 0),
        column(bars.quote_volume, 0),
        column(bars.count, 0),
        column(bars.taker_volume, 0),
        column(bars.taker_quote, 0),
    )
    return filled if close_before is not None else filled.take(slice(int(np.argmax(traded)), None))


def _starts(opens: I64) -> I64:
    return np.flatnonzero(np.concatenate([np.ones(1, np.bool_), opens[1:] != opens[:-1]]))


def _sums(values: I64, starts: I64) -> I64:
    """Return exact sums from each start to the next; raise OverflowError where 64 bits might not hold them."""
    if float(np.sum(values, dtype=np.float64)) > _SAFE:
        raise OverflowError("a bar's sum does not fit in 64 bits: use a smaller trades_per_day")
    return np.add.reduceat(values, starts)
