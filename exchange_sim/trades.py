"""One day of made trades: heavy-tailed prices, clustered volatility, hours that differ, sides that persist.

An event is what Binance calls an aggregate trade: trades in a row of one price, one side and one millisecond. Events
are drawn first and then filled with trades, so the day has exactly the number of both that the calendar says, and
no two neighbouring events could be taken for one.

Nothing here depends on the machine: per-trade arithmetic is +, -, *, / and sqrt, sums run in order, and exp and log
are the C library's, on one number at a time.
"""

import math
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from exchange_sim.calendar import F64, I64, Calendar, day_stream
from exchange_sim.symbols import SYMBOLS, Market

DAY_US = 86_400_000_000
MINUTE_US = 60_000_000
EPOCH = date(1970, 1, 1)
# Share of the day's trading by UTC hour: quiet after the US close, busiest when Europe and the US overlap.
_HOURS = (
    1.05, 0.95, 0.90, 0.80, 0.72, 0.70, 0.75, 0.90, 1.05, 1.10, 1.05, 1.00,
    1.15, 1.55, 1.85, 1.75, 1.50, 1.25, 1.10, 1.05, 1.00, 0.90, 0.75, 0.80,
)  # fmt: skip
_ACTIVITY_MEMORY = 0.97  # per minute, of the log of volatility and intensity
_BURST = 1 / 700  # chance per minute that news arrives
_P_FOLLOW = 0.45  # an event that answers the one before it
_P_SWEEP = 0.6  # ... and belongs to the same order: same time, next price
_P_FLIP = 0.18  # the aggressor changes side
_MEAN_GAP_US = 25_000.0
_T_DF = 4.0
_IMPACT = 0.1  # drift towards the aggressor, in standard deviations of an event
_SIZE_SIGMA = 1.5
_LARGEST_NOTIONAL = 2_000_000.0
_P_ROUND_SIZE = 0.28
_POWERS = 10 ** np.arange(1, 16, dtype=np.int64)

I8 = NDArray[np.int8]


@dataclass(frozen=True)
class Day:
    """The trades of one UTC day as events and the trades in them.

    ts        (n_events,)  microseconds since the epoch, non-decreasing
    price     (n_events,)  ticks, > 0
    side      (n_events,)  +1 buyer is the aggressor, -1 seller
    fills     (n_events,)  trades in the event, > 0
    quantity  (n_trades,)  lots, > 0
    """

    date: date
    first_trade: int
    first_agg: int
    ts: I64
    price: I64
    side: I8
    fills: I64
    quantity: I64

    @cached_property
    def starts(self) -> I64:
        """Return the index of each event's first trade, (n_events,)."""
        return np.cumsum(self.fills) - self.fills

    @cached_property
    def event(self) -> I64:
        """Return the event of each trade, (n_trades,)."""
        return np.repeat(np.arange(self.fills.size, dtype=np.int64), self.fills)

    @cached_property
    def event_quantity(self) -> I64:
        """Return the lots of each event, (n_events,)."""
        return np.add.reduceat(self.quantity, self.starts)


def make_day(seed: int, symbol: str, market: Market, calendar: Calendar, index: int) -> Day:
    """Make day `index` of a calendar. O(n_trades) time and memory; equal arguments give equal arrays."""
    spec, day = SYMBOLS[symbol], calendar.day(index)
    rules = spec.rules(market)
    if rules is None:
        raise KeyError(f"{symbol} is not listed on {market}")
    rng = day_stream(seed, symbol, market, day)
    n_events, n_trades = int(calendar.n_aggs[index]), int(calendar.n_trades[index])
    opened, closed = int(calendar.close[index]), int(calendar.close[index + 1])
    activity = _activity(rng)
    ts = _times(rng, n_events, activity)
    side = _sides(rng, ts)
    mid = _mid_prices(rng, ts, side, _minute_vol(activity, float(calendar.vol[index])), opened, closed)
    price = _walk_the_book(ts // 1000, side, np.where(side > 0, np.ceil(mid), np.floor(mid)).astype(np.int64), closed)
    fills = _fills(rng, n_events, n_trades)
    notional = opened * 10.0 ** -(rules.price_places + rules.quantity_places)  # quote, of one lot
    notional = float(rules.contract) if rules.contract else notional
    quantity = _quantities(rng, n_trades, spec.median_notional / notional, _LARGEST_NOTIONAL / notional)
    midnight = (day - EPOCH).days * DAY_US
    first_trade, first_agg = int(calendar.first_trade[index]), int(calendar.first_agg[index])
    return Day(day, first_trade, first_agg, ts + midnight, price, side, fills, quantity)


def _activity(rng: np.random.Generator) -> F64:
    """Return how wild each minute is, (1440,): exp of an autoregression that news kicks upwards."""
    state, memory = 0.4 * float(rng.standard_normal()), _ACTIVITY_MEMORY
    scale = 0.4 * math.sqrt(1 - memory * memory)
    kicks = np.where(rng.random(1440) < _BURST, 0.8 + rng.standard_exponential(1440) * 0.5, 0.0)
    shocks = (scale * rng.standard_normal(1440) + kicks).tolist()
    activity = []
    for shock in shocks:
        state = min(memory * state + shock, 3.0)
        activity.append(math.exp(state))
    return np.array(activity)


def _minute_vol(activity: F64, day_vol: float) -> F64:
    """Return the standard deviation of each minute's return, (1440,): their squares sum to the day's."""
    return activity * (day_vol / math.sqrt(float(np.cumsum(activity * activity)[-1])))


def _times(rng: np.random.Generator, n_events: int, activity: F64) -> I64:
    """Return microseconds since midnight, (n_events,), sorted; the last event has a millisecond of its own."""
    hour = np.arange(1440) / 60.0
    intensity = np.interp(hour, np.arange(25), (*_HOURS, _HOURS[0])) * activity
    share = np.concatenate([np.zeros(1), np.cumsum(intensity)])
    follows = rng.random(n_events) < _P_FOLLOW
    follows[0] = False
    leader = np.sort(rng.random(n_events - int(follows.sum()))) * share[-1]
    leader_ts = np.interp(leader, share, np.arange(1441) * float(MINUTE_US)).astype(np.int64)
    gap = np.where(rng.random(n_events) < _P_SWEEP, 0.0, rng.standard_exponential(n_events) * _MEAN_GAP_US)
    delay = np.cumsum(np.where(follows, gap, 0.0).astype(np.int64))
    group = np.cumsum(~follows) - 1
    since_leader = delay - delay[np.flatnonzero(~follows)][group]
    ts = np.sort(np.minimum(leader_ts[group] + since_leader, DAY_US - 2000))
    if n_events > 1:
        ts[-1] = max(int(ts[-1]), int(ts[-2]) + 1000)
    return ts


def _sides(rng: np.random.Generator, ts: I64) -> I8:
    """Return +1 or -1 per event: a Markov chain that never changes within one order."""
    flips = rng.random(ts.size) < _P_FLIP
    flips[1:] &= ts[1:] != ts[:-1]
    flips[0] = rng.random() < 0.5
    return (1 - 2 * (np.cumsum(flips) % 2)).astype(np.int8)


def _mid_prices(rng: np.random.Generator, ts: I64, side: I8, minute_vol: F64, opened: int, closed: int) -> F64:
    """Return the mid price before each event in ticks: a heavy-tailed bridge from `opened` to `closed`.

    minute_vol  (1440,)  standard deviation of each minute's return; a minute's events share its variance
    """
    minute = ts // MINUTE_US
    per_event = minute_vol / np.sqrt(np.maximum(np.bincount(minute, minlength=1440), 1))
    vol = per_event[minute]
    shock = rng.standard_t(_T_DF, ts.size) / math.sqrt(_T_DF / (_T_DF - 2))
    path = np.cumsum(vol * (shock + _IMPACT * side))
    clock = np.cumsum(vol * vol)
    bridge = path - (clock / clock[-1]) * (path[-1] - (closed / opened - 1))
    mid: F64 = opened * (1 + np.maximum(bridge, -0.75))
    return mid


def _walk_the_book(ms: I64, side: I8, price: I64, closed: int) -> I64:
    """Return the price of each event, in ticks; the last one is `closed`.

    Events of one side in one millisecond are one sweep: each takes the next level, so that no two could be one.
    """
    new = np.ones(ms.size, np.bool_)
    new[1:] = (ms[1:] != ms[:-1]) | (side[1:] != side[:-1])
    first = np.flatnonzero(new)[np.cumsum(new) - 1]
    swept: I64 = price[first] + side * (np.arange(ms.size) - first)
    swept[-1] = closed
    if int(swept.min()) < 1:
        raise ArithmeticError("a sweep reached a price of zero: the symbol's level is too low for its tick")
    return swept


def _fills(rng: np.random.Generator, n_events: int, n_trades: int) -> I64:
    """Return the trades of each event, (n_events,), each at least 1, summing to n_trades; few events have many."""
    weight = np.cumsum(rng.standard_exponential(n_events) ** 3)
    upto = np.floor((n_trades - n_events) * (weight / weight[-1])).astype(np.int64)
    fills: I64 = 1 + np.diff(upto, prepend=0)
    return fills


def _quantities(rng: np.random.Generator, n_trades: int, median: float, largest: float) -> I64:
    """Return lots per trade, (n_trades,): lognormal about the median, a good share of them cut to one digit."""
    lots = np.rint(np.minimum(median * rng.lognormal(0.0, _SIZE_SIGMA, n_trades), largest)).astype(np.int64)
    lots = np.maximum(lots, 1)
    digit = np.concatenate([np.ones(1, np.int64), _POWERS])[np.searchsorted(_POWERS, lots, side="right")]
    round_lots = lots // digit * digit
    return np.where(rng.random(n_trades) < _P_ROUND_SIZE, round_lots, lots)
