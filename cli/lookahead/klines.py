"""Klines that end at a moment, and klines that are false from that moment on.

A kline is known at its close. Of the one that is under way at the moment its open is known, and nothing else.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from services.download.domain.scale import decimal_text, exact_sum
from tickloom.kernel import I64
from tickloom.lake import decimals, rescale, units

PRICED: Final = ("open", "high", "low", "close", "notional", "buy_notional")
"""What is multiplied where prices are."""


def ended(table: pa.Table, ts: int) -> pa.Table:
    """Return the klines that are known right before `ts`."""
    return table.filter(pa.array(table["ts_close"].to_numpy() < ts))


def mirrored(price: I64, first: float) -> I64:
    """Return first * first / price, at least 1, (n,): both in units of one scale."""
    found: I64 = np.maximum(np.rint(first * (first / price)), 1.0).astype(np.int64)
    return found


def poisoned(table: pa.Table, ts: int, poison: str, end: int, first: float) -> pa.Table:
    """Return the klines that open before `end`, those that are not known right before `ts` with false values.

    first  the price that mirrored ones are mirrored at

    Halved and doubled are prices and notionals, mirrored the prices; in reverse order comes all but the times. Each is
    still a kline: its high and low enclose its open and close, also where the open is true and the rest is not.
    """
    table = table.filter(pa.array(table["ts_open"].to_numpy() < end))
    opened, closed = (table[name].to_numpy() for name in ("ts_open", "ts_close"))
    later, under_way = np.flatnonzero(closed >= ts), np.flatnonzero((opened < ts) & (closed >= ts))
    if not later.size:
        return table
    if poison == "reversed":
        false = _reversed(table, later)
    elif poison == "mirrored":
        false = _mirrored(table, later, first)
    else:
        false = table
        for name in set(PRICED) & set(table.column_names):
            values, scale = units(table[name])
            values = values.copy()
            values[later] = values[later] * 2 if poison == "doubled" else _halved(values[later], name)
            false = _with(false, name, decimals(values, scale))
    return _with_true_opens(false, table, under_way)


def _with(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _reversed(table: pa.Table, later: I64) -> pa.Table:
    order = np.arange(table.num_rows)
    order[later] = later[::-1]
    false = table.take(pa.array(order))
    for name in ("ts_open", "ts_close"):
        false = _with(false, name, table[name])
    return false


def _mirrored(table: pa.Table, later: I64, first: float) -> pa.Table:
    """A high becomes a low: the further a price is above the first one, the further below it is its image."""
    false = table
    for name, image in (("open", "open"), ("high", "low"), ("low", "high"), ("close", "close")):
        (values, scale), (source, source_scale) = units(table[name]), units(table[image])
        values = values.copy()
        values[later] = rescale(mirrored(source[later], first * 10**source_scale), source_scale, scale)
        false = _with(false, name, decimals(values, scale))
    return false


def _halved(values: I64, name: str) -> I64:
    return np.maximum(values // 2, 1) if name in ("open", "high", "low", "close") else values // 2


def _with_true_opens(false: pa.Table, true: pa.Table, rows: I64) -> pa.Table:
    """Return the false klines, of `rows` with the opens that were known."""
    (opens, scale), (high, _), (low, _), (known, _) = (
        units(table[name]) for table, name in ((false, "open"), (false, "high"), (false, "low"), (true, "open"))
    )
    opens, high, low = opens.copy(), high.copy(), low.copy()
    opens[rows] = known[rows]
    high[rows], low[rows] = np.maximum(high[rows], known[rows]), np.minimum(low[rows], known[rows])
    for name, values in (("open", opens), ("high", high), ("low", low)):
        false = _with(false, name, decimals(values, scale))
    return false


def facts(table: pa.Table, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a partition that its klines decide, those among them that it has."""
    opened = table["ts_open"].to_numpy()
    last_day = str(np.datetime64(int(opened[-1]), "us").astype("datetime64[D]"))
    found: dict[str, Any] = {"first_ts": int(opened[0]), "last_ts": int(opened[-1]), "last_day": last_day}
    for name in ("volume", "notional", "buy_volume", "buy_notional"):
        if name in table.column_names:
            values, scale = units(table[name])
            found[name] = decimal_text(exact_sum(values), scale)
    return {name: value for name, value in found.items() if name in known}


def is_told(ts: int, bars_close: I64, klines_close: I64) -> bool:
    """Return whether the klines known right before `ts` tell of every bar that has closed by then.

    A bar whose last kline is missing is over by the clock, and closed by the next kline there is: a run whose data end
    in between cannot know of it, and that is no look-ahead.
    """
    bars, klines = np.searchsorted(bars_close, ts), np.searchsorted(klines_close, ts)
    return not bars or bool(klines and bars_close[bars - 1] <= klines_close[klines - 1])
