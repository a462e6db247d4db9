"""Klines to time bars of their own or a longer interval. An interval divides the day, so no bar crosses a partition."""

import numpy as np

from services.bars.domain.state import Bars
from services.bars.kernels.aggregate import LIMIT
from tickloom.errors import ExactnessLost
from tickloom.kernel import I64

ADDED = ("volume", "notional", "n_trades", "buy_volume", "buy_notional")


def merge_klines(klines: dict[str, I64], step: int, interval: int, is_last: bool) -> tuple[Bars, Bars, int]:
    """Return the bars that are closed, the one that is not (0 or 1), and how many closed ones lack klines.

    klines    ts_open open high low close volume, and what else is known; all (n_klines,), by ts_open, in units
    step      microseconds, the klines' interval
    interval  microseconds, a multiple of step
    is_last   whether no kline follows: then a bar whose last kline is missing is not closed, for it may still come

    Of an interval without a trade exchanges publish a kline of volume 0 that repeats the close before it. Nobody traded
    at that price then, so the prices of a bar are those of its klines with volume, where it has any.
    Raises ExactnessLost when a sum needs more than 18 digits.
    """
    start = klines["ts_open"] - klines["ts_open"] % interval
    first = np.flatnonzero(np.diff(start, prepend=-1))
    last = np.append(first[1:], start.size)[: first.size] - 1
    merged = {"ts_open": start[first], "ts_close": start[first] + interval, **_prices(klines, first, last)}
    for name in ADDED:
        if name in klines:
            merged[name] = _sums(name, klines[name], first)
    n_closed = first.size
    if is_last and n_closed and klines["ts_open"][-1] + step < merged["ts_close"][-1]:
        n_closed -= 1
    incomplete = int((last - first + 1 < interval // step)[:n_closed].sum())
    closed = {name: values[:n_closed] for name, values in merged.items()}
    return Bars(closed), Bars({name: values[n_closed:] for name, values in merged.items()}), incomplete


def _prices(klines: dict[str, I64], first: I64, last: I64) -> dict[str, I64]:
    """Return open, high, low and close of the bars whose first and last klines these are, each (n_bars,)."""
    if not first.size:
        return {name: klines[name] for name in ("open", "high", "low", "close")}
    traded = klines["volume"] > 0
    is_empty = np.repeat(~np.logical_or.reduceat(traded, first), last - first + 1)
    kept = np.flatnonzero(traded | is_empty)
    begin = np.searchsorted(kept, first)
    end = np.searchsorted(kept, last, "right") - 1
    return {
        "open": klines["open"][kept[begin]],
        "high": np.maximum.reduceat(klines["high"][kept], begin),
        "low": np.minimum.reduceat(klines["low"][kept], begin),
        "close": klines["close"][kept[end]],
    }


def _sums(name: str, values: I64, first: I64) -> I64:
    if not first.size:
        return values
    # Where the float sum is well below the limit, the integer sum cannot have overflowed.
    if (np.add.reduceat(values.astype(np.float64), first) > LIMIT * (1 - 1e-9)).any():
        raise ExactnessLost(f"a bar's {name}", "its sum has more than 18 digits")
    return np.add.reduceat(values, first)
