"""Trades of one partition to the bars that close in it, with the bar left open carried to the next partition."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from services.bars.domain.ends import Ends, cut_trades, ends_of
from services.bars.domain.microstructure import exact_columns, ratios
from services.bars.domain.rule import Rule
from services.bars.domain.state import Bars, State, Trades, joined
from services.bars.kernels.aggregate import COLUMNS, N_TRADES, aggregate
from services.bars.kernels.clock import forwards, runs_forwards
from services.bars.kernels.microstructure import BUYS, ROWS, microstructure
from tickloom.contracts.download import INTERVAL_US
from tickloom.errors import ExactnessLost
from tickloom.kernel import I64

DAY_US = INTERVAL_US["1d"]
BLOCK = 1 << 19
"""Trades at a time: each of the passes over them finds them in the cache. How they are cut changes no bar."""


def close_bars(trades: Trades, rule: Rule, state: State, until: int) -> tuple[Bars, State]:
    """Return the bars that close while these trades are read, and the state for the next partition.

    `until` is the end of the partition's day in microseconds: no trade before it is still to come. It is 0
    where nobody knows. Bars and state are in the rule's units, trades in the symbol's.

    Trades are taken in the order of their ids. A trade stamped earlier than one before it counts at the latest time
    seen so far: only then could anybody have known of it in this order. So `ts_close` never decreases.
    Raises ExactnessLost when a bar's sum needs more than 18 digits. Of bars that split, `check_pieces` comes before.
    """
    trades = trades.finer(rule.price_places, rule.quantity_places)
    several: list[Bars] = []
    for start in range(0, max(1, trades.ids.size), BLOCK):
        block = trades.cut(start, start + BLOCK)
        bars, state = _close_block(block, rule, state, until if start + BLOCK >= trades.ids.size else 0)
        several.append(bars)
    return joined(several), state


def _close_block(trades: Trades, rule: Rule, state: State, until: int) -> tuple[Bars, State]:
    ts = trades.ts if runs_forwards(trades.ts, state.latest) else forwards(trades.ts, state.latest)
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


def _close(trades: Trades, ts: I64, rule: Rule, state: State, until: int) -> tuple[Bars, State]:
    latest = int(ts[-1]) if ts.size else state.latest
    whole, late = trades.quantity, None
    if rule.excess == "split":
        pieces = cut_trades(trades, ts, rule, state)
        ts, trades, made, late = pieces.trades.ts, pieces.trades, pieces.made, pieces.rest
        if rule.wanted is not None:
            whole = whole[pieces.trade]
    else:
        made = ends_of(trades, ts, rule, state, until)
    rows, left, bad = aggregate(trades.ids, ts, trades.price, trades.quantity, trades.side, made.ends, state.bar)
    if bad >= 0:
        raise ExactnessLost("a bar's sum", f"it has more than 18 digits at trade {trades.ids[bad]}")
    sums, sums_left = _sums(trades, ts, whole, rule, made.ends, state)
    if late is not None:  # a trade counts in the first of its bars only
        starts = np.append(0, made.ends + 1)
        begins, bought = np.append(late, False)[starts], np.append(trades.side > 0, False)[starts]
        rows[N_TRADES] -= begins[:-1]
        left[N_TRADES] -= begins[-1]
        if rule.wanted is not None:
            sums[BUYS] -= (begins & bought)[:-1]
            sums_left[BUYS] -= (begins & bought)[-1]
    return _bars(rows, sums, rule, made), State(left, latest, made.memory, made.averages, sums_left)


def _sums(trades: Trades, ts: I64, whole: I64, rule: Rule, ends: I64, state: State) -> tuple[I64, I64]:
    """Return the sums for the microstructure of the bars that close and of the one left open, where asked for."""
    if rule.wanted is None:
        return np.zeros((0, ends.size), np.int64), state.sums
    opened = state.sums if state.sums.size else np.zeros(ROWS, np.int64)
    return microstructure(ts, trades.price, trades.quantity, whole, trades.side, ends, rule.wanted.large, opened)


def _bars(rows: I64, sums: I64, rule: Rule, made: Ends) -> Bars:
    bars = dict(zip(COLUMNS, rows, strict=True))
    wanted = rule.wanted
    exact = exact_columns(bars, sums, wanted) if wanted is not None else {}
    measured = ratios(bars, sums, wanted) if wanted is not None else {}
    if rule.target is not None:
        measured = {"threshold": np.full(rows.shape[1], rule.target.shown(rule.size)), **measured}
    first, last = bars.pop("ts_first"), bars.pop("ts_last")
    if rule.kind == "time":
        first = first - first % rule.size
        last = first + rule.size
    return Bars({"ts_open": first, "ts_close": last, **bars, **made.extra, **exact}, made.guards, measured)


def _midnight(rule: Rule, state: State, now: int) -> tuple[list[Bars], State]:
    """Where the day of the state is over, return the bar that it left open, as known at its end, and an empty state."""
    end = (state.latest // DAY_US + 1) * DAY_US
    if state.latest < 0 or end > now:
        return [], state
    empty = State(latest=state.latest)
    if not state.is_open:
        return [], empty
    extra = {"bricks": np.zeros(1, np.int64)} if rule.kind == "renko" else {}
    bars = _bars(state.bar[:, np.newaxis], state.sums[:, np.newaxis], rule, Ends(np.array([-1]), extra=extra))
    return [replace(bars, columns={**bars.columns, "ts_close": np.array([end])})], empty
