"""Trades of one partition to the bars that close in it, with the bar left open carried to the next partition."""

from itertools import pairwise

import numpy as np

from services.bars.domain.ends import Ends, cut_trades, ends_of
from services.bars.domain.rule import Rule
from services.bars.domain.state import Bars, State, Trades, joined
from services.bars.kernels.aggregate import COLUMNS, LIMIT, N_TRADES, aggregate
from services.bars.kernels.clock import forwards
from tickloom.contracts.download import INTERVAL_US
from tickloom.errors import ExactnessLost
from tickloom.kernel import I64

DAY_US = INTERVAL_US["1d"]


def close_bars(trades: Trades, rule: Rule, state: State, until: int) -> tuple[Bars, State]:
    """Return the bars that close while these trades are read, and the state for the next partition.

    `until` is the end of the partition's day in microseconds: no trade before it is still to come.

    Trades are taken in the order of their ids. A trade stamped earlier than one before it counts at the latest time
    seen so far: only then could anybody have known of it in this order. So `ts_close` never decreases.
    Raises ExactnessLost when a bar's sum needs more than 18 digits, and InvalidRequest as `cut_trades` does.
    """
    if _may_not_fit(trades) and (trades.price > LIMIT // trades.quantity).any():
        raise ExactnessLost("the notional of a trade", "price times quantity has more than 18 digits")
    ts = forwards(trades.ts, state.latest)
    if rule.reset == "never":
        return _close(trades, ts, rule, state, until)
    several: list[Bars] = []
    borders = [0, *(np.flatnonzero(np.diff(ts // DAY_US)) + 1).tolist(), ts.size]
    for start, end in pairwise(borders):
        left, state = _midnight(rule, state, int(ts[start]) if ts.size else 0)
        bars, state = _close(trades.cut(start, end), ts[start:end], rule, state, until)
        several += [*left, bars]
    left, state = _midnight(rule, state, until)
    return joined([*several, *left]), state


def _may_not_fit(trades: Trades) -> bool:
    return bool(trades.ids.size) and int(trades.price.max()) * int(trades.quantity.max()) > LIMIT


def _close(trades: Trades, ts: I64, rule: Rule, state: State, until: int) -> tuple[Bars, State]:
    latest = int(ts[-1]) if ts.size else state.latest
    late = None
    if rule.excess == "split":
        pieces = cut_trades(trades, rule, state)
        ts, trades, made, late = ts[pieces.trade], pieces.trades, pieces.made, pieces.rest
    else:
        made = ends_of(trades, ts, rule, state, until)
    rows, left, bad = aggregate(trades.ids, ts, trades.price, trades.quantity, trades.side, made.ends, state.bar)
    if bad >= 0:
        raise ExactnessLost("a bar's sum", f"it has more than 18 digits at trade {trades.ids[bad]}")
    if late is not None:  # a trade counts in the first of its bars only
        begins = np.append(late, False)[np.append(0, made.ends + 1)]
        rows[N_TRADES] -= begins[:-1]
        left[N_TRADES] -= begins[-1]
    return _bars(rows, rule, made), State(left, latest, made.memory, made.averages)


def _bars(rows: I64, rule: Rule, made: Ends) -> Bars:
    bars = dict(zip(COLUMNS, rows, strict=True))
    first, last = bars.pop("ts_first"), bars.pop("ts_last")
    if rule.kind == "time":
        first = first - first % rule.size
        last = first + rule.size
    return Bars({"ts_open": first, "ts_close": last, **bars, **made.extra}, made.guards)


def _midnight(rule: Rule, state: State, now: int) -> tuple[list[Bars], State]:
    """Where the day of the state is over, return the bar that it left open, as known at its end, and an empty state."""
    end = (state.latest // DAY_US + 1) * DAY_US
    if state.latest < 0 or end > now:
        return [], state
    empty = State(latest=state.latest)
    if not state.is_open:
        return [], empty
    extra = {"bricks": np.zeros(1, np.int64)} if rule.kind == "renko" else {}
    bars = _bars(state.bar[:, np.newaxis], rule, Ends(np.array([-1]), extra=extra))
    return [Bars({**bars.columns, "ts_close": np.array([end])})], empty
