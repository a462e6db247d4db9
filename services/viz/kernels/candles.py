"""Merge bars for display: at most so many candles, at times that strictly increase by whole seconds.

A chart's axis counts seconds, while several dollar bars may close within one; and it cannot show a million candles.
Bars are merged in runs of neighbours, so that a candle is the candle one would have seen over its whole span.
"""

from typing import NamedTuple

import numpy as np

from tickloom.kernel import F64, I64

SECOND_US = 1_000_000


class Candles(NamedTuple):
    """What is drawn. All arrays are (n_candles,).

    first    the first bar in each candle; it goes on to the bar before the next candle's first
    time_s   the first whole second at which the candle's last bar is known, strictly increasing
    """

    first: I64
    time_s: I64
    open: F64
    high: F64
    low: F64
    close: F64
    volume: F64


def candle_starts(ts_close: I64, max_candles: int) -> I64:
    """Return the first bar of each candle, strictly increasing, (n_candles,); n_candles <= max_candles.

    ts_close     (n_bars,)  microseconds, never falling
    max_candles             >= 1

    Bars that close within the same second are one candle. Where candles are still too many, runs of equal length are
    merged, the last one maybe shorter.
    """
    second = known_at_s(ts_close)
    starts = np.flatnonzero(np.diff(second, prepend=second[:1] - 1))
    stride = -(-starts.size // max_candles)
    return starts[:: max(stride, 1)]


def known_at_s(ts: I64) -> I64:
    """Return the first whole second that is not before `ts` (microseconds)."""
    return -(-ts // SECOND_US)


def merge_candles(ts_close: I64, open_: F64, high: F64, low: F64, close: F64, volume: F64, max_candles: int) -> Candles:
    """Return at most `max_candles` candles. All arrays are (n_bars,), in time order."""
    first = candle_starts(ts_close, max_candles)
    last = group_last(first, ts_close.size)
    if first.size == 0:
        return Candles(first, known_at_s(ts_close), open_, high, low, close, volume)
    return Candles(
        first,
        known_at_s(ts_close[last]),
        open_[first],
        np.maximum.reduceat(high, first),
        np.minimum.reduceat(low, first),
        close[last],
        np.add.reduceat(volume, first),
    )


def group_last(first: I64, n_bars: int) -> I64:
    """Return the last bar of each candle, given the first of each, (n_candles,)."""
    return np.append(first[1:], n_bars)[: first.size] - 1


def group_extremes(values: F64, first: I64) -> tuple[F64, F64]:
    """Return (lowest, highest) of `values` (n_bars,) within each candle, (n_candles,)."""
    if first.size == 0:
        return values[:0], values[:0]
    return np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
