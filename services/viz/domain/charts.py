"""The data behind a symbol's interactive page: candles, curves, trades and trials as plain lists for JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from services.viz.domain.run import METRICS, SymbolRun, Trades, Trials
from services.viz.kernels.candles import group_extremes, group_last, known_at_s, merge_candles
from tickloom.kernel import F64, I64

MAX_TRADES = 5_000
DIGITS = 8
"""Significant digits of what is only looked at; results.json and summary.csv have all of them."""


def chart_data(run: SymbolRun, max_candles: int) -> dict[str, Any]:
    """Return the lists that the page draws of one symbol, at most `max_candles` candles and MAX_TRADES trades."""
    bars, curve = run.bars, run.curve
    candles = merge_candles(bars.ts_close, bars.open, bars.high, bars.low, bars.close, bars.volume, max_candles)
    last = group_last(candles.first, bars.ts_close.size)
    is_merged = candles.first.size < bars.ts_close.size
    low, high = group_extremes(curve.equity, candles.first)
    return {
        "symbol": run.symbol,
        "is_account": run.account is not None,
        "places": bars.places,
        "n_bars": int(bars.ts_close.size),
        "time": candles.time_s.tolist(),
        "from": (bars.ts_open[candles.first] // 1_000_000).tolist(),
        "open": _prices(candles.open, bars.places),
        "high": _prices(candles.high, bars.places),
        "low": _prices(candles.low, bars.places),
        "close": _prices(candles.close, bars.places),
        "volume": _short(candles.volume),
        "equity": _short(curve.equity[last]),
        "equity_low": _short(low) if is_merged else None,
        "equity_high": _short(high) if is_merged else None,
        "buy_and_hold": _short(curve.buy_and_hold[last]),
        "drawdown": _short(group_extremes(curve.drawdown, candles.first)[0]),
        "trades": trade_data(run.trades, candles.first),
        "trials": trial_data(run.trials, run.best),
    }


def trade_data(trades: Trades, first: I64) -> dict[str, Any]:
    """Return the first MAX_TRADES trades as columns; `entry` and `exit` are the candles in which they happen.

    first  (n_candles,)  the first bar in each candle

    An open trade has None for everything about its exit. `return` is the pnl over the entry's notional.
    """
    shown = slice(0, MAX_TRADES)
    closed = ~trades.is_open[shown]
    exits = trades.exit_ts[shown]
    notional = trades.entry_price * trades.quantity
    return {
        "n": len(trades.side),
        "symbol": list(trades.symbol[shown]) or None,
        "side": trades.side[shown].tolist(),
        "entry": _candle(first, trades.entry_bar[shown]).tolist(),
        "exit": _known(_candle(first, trades.exit_bar[shown]), closed),
        "entry_s": known_at_s(trades.entry_ts[shown]).tolist(),
        "exit_s": _known(known_at_s(exits), closed),
        "entry_price": _short(trades.entry_price[shown]),
        "exit_price": _known(trades.exit_price[shown], closed),
        "quantity": _short(trades.quantity[shown]),
        "fees": _short(trades.fees[shown]),
        "pnl": _short(trades.pnl[shown]),
        "return": _short(trades.pnl[shown] / notional[shown]),
        "reason": list(trades.reason[shown]),
        "inside": list(trades.inside_bar[shown]),
    }


def trial_data(trials: Trials, best: int) -> dict[str, Any]:
    """Return the trials as columns; a parameter is an index into its sorted values."""
    axes: dict[str, list[Any]] = {}
    index: dict[str, list[int]] = {}
    for name, column in trials.parameters.items():
        values = sorted(set(column), key=lambda value: (isinstance(value, str), value is None, value or 0))
        place = {value: i for i, value in enumerate(values)}
        axes[name], index[name] = values, [place[value] for value in column]
    metrics = {name: [_digits(value) for value in trials.metrics[name]] for name in METRICS}
    return {"axes": axes, "index": index, "metrics": metrics, "combo": list(trials.combo), "best": best}


def sparkline(equity: F64, n_points: int = 60) -> Sequence[tuple[float, float]]:
    """Return a small picture of a curve: points in the unit square, y downwards, flat in the middle when it is flat."""
    rows = np.unique(np.linspace(0, equity.size - 1, min(n_points, equity.size)).astype(np.int64))
    values = equity[rows]
    low, high = float(values.min()), float(values.max())
    height = (high - values) / (high - low) if high > low else np.full(values.size, 0.5)
    width = np.linspace(0, 1, rows.size) if rows.size > 1 else np.array([0.5])
    return [(round(x, 3), round(y, 3)) for x, y in zip(width.tolist(), height.tolist(), strict=True)]


def _candle(first: I64, bar: I64) -> I64:
    return np.searchsorted(first, bar, side="right") - 1


def _digits(value: int | float | None) -> int | float | None:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _short(values: F64) -> list[int | float | None]:
    return [_digits(value) for value in values.tolist()]


def _known(values: F64 | I64, known: np.ndarray[Any, np.dtype[np.bool_]]) -> list[int | float | None]:
    return [_digits(value) if ok else None for value, ok in zip(values.tolist(), known.tolist(), strict=True)]


def _prices(values: F64, places: int) -> list[float]:
    return [round(value, places) for value in values.tolist()]
