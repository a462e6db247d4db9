"""What a curve of equity was worth: the figures of buy-and-hold, and a second opinion on those of the best trial.

The definitions are the backtest's (docs/backtest.md): Sharpe and Sortino ratio over the returns between closes of
consecutive UTC days, days without a bar returning 0, times sqrt(365); undefined is None. They are computed here from
the curve alone, by other code, so that the two can be held against each other.
"""

import math

import numpy as np

from services.viz.domain.calendar import DAY_US, utc_day
from tickloom.kernel import F64, I64

YEAR_US = 365 * DAY_US
ROUNDING = 1e-12
AGREEMENT = 1e-6
"""Largest relative difference between the backtest's figure and ours that is rounding."""


def daily_equity(ts: I64, equity: F64) -> F64:
    """Return the equity at the close of each UTC day from the first to the last, days without a bar included."""
    day = utc_day(ts)
    every_day = np.arange(day[0], day[-1] + 1)
    return equity[np.searchsorted(day, every_day, side="right") - 1]


def drawdown(equity: F64, initial_cash: float) -> F64:
    """Return equity / running maximum - 1, at most 0, (n_rows,)."""
    return equity / np.maximum(np.maximum.accumulate(equity), initial_cash) - 1


def longest_under_days(ts: I64, equity: F64, initial_cash: float) -> float:
    """Return the longest time from a peak to the close that regained it, or to the last close, in days."""
    is_peak = equity >= np.maximum.accumulate(np.append(initial_cash, equity))[:-1]
    last_peak = np.maximum.accumulate(np.where(is_peak, np.arange(equity.size), 0))
    before = np.append(0, last_peak[:-1])
    is_counted = ~is_peak | np.append(False, ~is_peak[:-1])  # under water, or just out of it
    return int(np.where(is_counted, ts - ts[before], 0).max()) / DAY_US


def curve_metrics(ts: I64, equity: F64, initial_cash: float) -> dict[str, float | None]:
    """Return the figures that need no trades, of `equity` (n_rows,) at `ts` (n_rows,), n_rows >= 1."""
    growth = float(equity[-1]) / initial_cash
    worst = min(float(drawdown(equity, initial_cash).min()), 0.0)
    cagr = _cagr(growth, int(ts[-1] - ts[0]))
    sharpe, sortino = _ratios(daily_equity(ts, equity))
    return {
        "total_return": growth - 1,
        "cagr": cagr,
        "sharpe_ratio": sharpe,
        "sortino_ratio": sortino,
        "calmar_ratio": cagr / -worst if cagr is not None and worst < -ROUNDING else None,
        "max_drawdown": worst,
        "max_drawdown_duration": longest_under_days(ts, equity, initial_cash),
        "final_equity": float(equity[-1]),
    }


def _cagr(growth: float, elapsed_us: int) -> float | None:
    if growth <= 0 or elapsed_us <= 0:
        return None
    exponent = math.log(growth) * YEAR_US / elapsed_us
    return math.expm1(exponent) if exponent < 700 else None


def _ratios(daily: F64) -> tuple[float | None, float | None]:
    if daily.size < 3 or (daily <= 0).any():
        return None, None
    returns = np.diff(daily) / daily[:-1]
    yearly = float(returns.mean()) * math.sqrt(365)
    spread = float(returns.std(ddof=1))
    losses = math.sqrt(float((np.minimum(returns, 0) ** 2).mean()))
    return (yearly / spread if spread > ROUNDING else None, yearly / losses if losses > ROUNDING else None)


def disagreements(reported: dict[str, int | float | None], computed: dict[str, float | None]) -> list[str]:
    """Return the names of the figures on which the backtest and the curve differ by more than rounding."""
    different = []
    for name, ours in computed.items():
        theirs = reported.get(name)
        if ours is None or theirs is None:
            if ours is not theirs:
                different.append(name)
        elif not math.isclose(ours, theirs, rel_tol=AGREEMENT, abs_tol=AGREEMENT):
            different.append(name)
    return different
