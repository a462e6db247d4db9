"""What a run was worth. A statistic that is undefined is None, never 0 and never infinite.

Sharpe and Sortino ratio are of the returns between the equities at the close of consecutive UTC days, the first day's
close being the first base; days without a bar return 0. Per year: sqrt(365), for these markets never close. Both
engines measure by this file; docs/backtest.md has the definitions in words.

Source: Sharpe (1994), The Sharpe Ratio; Sortino and Price (1994), Performance Measurement in a Downside Risk Framework
(target 0, downside deviation over all days); Young (1991), Calmar Ratio (here over the whole run).
"""

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from tickloom.kernel import F64, I64, Bool, plain
from tickloom.strategy import pricing
from tickloom.strategy.feed import Bars
from tickloom.strategy.orders import Fill
from tickloom.strategy.performance import Performance, RoundTrip
from tickloom.strategy.rules import Rules

DAYS_A_YEAR = 365
DAY_US = 86_400_000_000
ROUNDING = 1e-12
"""A deviation below this share is rounding of equity, not risk."""

_taker_price = plain(pricing.taker_price)
_entry_quantity = plain(pricing.entry_quantity)


class Metrics(TypedDict):
    """The figures of one run; rates are fractions, money is in quote currency.

    n_trades counts the open trade too, if any; win_rate and profit_factor are of closed trades. exposure is the share
    of time between first and last close with a position; turnover the traded notional over the mean equity.
    max_drawdown is at most 0; max_drawdown_duration is in days.
    """

    total_return: float
    cagr: float | None
    sharpe_ratio: float | None
    sortino_ratio: float | None
    calmar_ratio: float | None
    max_drawdown: float
    max_drawdown_duration: float
    win_rate: float | None
    profit_factor: float | None
    exposure: float | None
    turnover: float | None
    fees_paid: float
    n_trades: int
    is_open: bool
    final_equity: float
    buy_and_hold_return: float


def finite(value: float) -> float | None:
    """Return the value; None where it is none."""
    return value if math.isfinite(value) else None


def cagr(growth: float, elapsed_us: int) -> float | None:
    """Return the growth (last equity / initial cash) as a rate a year."""
    if growth <= 0 or elapsed_us <= 0:
        return None
    years = elapsed_us / (DAYS_A_YEAR * DAY_US)
    try:
        return finite(math.expm1(math.log(growth) / years))
    except OverflowError:
        return None


def calmar(growth_a_year: float | None, max_drawdown: float) -> float | None:
    """Return the rate a year over the deepest drawdown."""
    if growth_a_year is None or max_drawdown >= -ROUNDING:
        return None
    return finite(growth_a_year / -max_drawdown)


def sharpe_and_sortino(daily: F64) -> tuple[float | None, float | None]:
    """Return both ratios, a year, of the equity at the close of each day, (n_days,)."""
    if daily.size < 3 or (daily <= 0).any():
        return None, None
    returns = daily[1:] / daily[:-1] - 1.0
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    downside = math.sqrt(float(np.square(np.minimum(returns, 0.0)).mean()))
    scale = mean * math.sqrt(DAYS_A_YEAR)
    return (
        finite(scale / deviation) if deviation > ROUNDING else None,
        finite(scale / downside) if downside > ROUNDING else None,
    )


def without_risk_rules(rules: Rules) -> Rules:
    """Return the benchmark's rules: the same money, fees and slippage, all invested at the market, no risk rule."""
    return Rules(rules.initial_cash, 1.0, rules.commission_rate, rules.slippage_rate, 0.0)


def metrics_of(bars: Bars, rules: Rules, fills: Sequence[Fill], found: Performance) -> Metrics:
    """Return the figures of a run of the event-driven engine, which are those that a grid gives of the same fills.

    Raises ValueError without a bar.
    """
    if not bars.n_bars:
        raise ValueError("bars: there is none, so there is nothing to measure")
    ts, equity, initial_cash = bars.ts_close, found.equity, rules.initial_cash
    elapsed_us, growth = int(ts[-1] - ts[0]), float(equity[-1]) / initial_cash
    max_drawdown, under_us = drawdown(equity, ts, initial_cash)
    sharpe, sortino = sharpe_and_sortino(daily_closes(equity, ts))
    win_rate, profit_factor = of_trips(found.trips, ROUNDING * initial_cash)
    held_us = int(np.diff(ts)[held_bars(bars, fills, found.position)[1:]].sum())
    notional, mean_equity = sum(fill.quantity * fill.price for fill in fills), float(equity.mean())
    a_year = cagr(growth, elapsed_us)
    return Metrics(
        total_return=growth - 1.0,
        cagr=a_year,
        sharpe_ratio=sharpe,
        sortino_ratio=sortino,
        calmar_ratio=calmar(a_year, max_drawdown),
        max_drawdown=max_drawdown,
        max_drawdown_duration=under_us / DAY_US,
        win_rate=win_rate,
        profit_factor=profit_factor,
        exposure=held_us / elapsed_us if elapsed_us else None,
        turnover=notional / mean_equity if mean_equity > 0 else None,
        fees_paid=float(sum(fill.fee for fill in fills)),
        n_trades=len(found.trips),
        is_open=bool(found.position[-1]),
        final_equity=float(equity[-1]),
        buy_and_hold_return=buy_and_hold_return(bars, rules),
    )


def daily_closes(equity: F64, ts_close: I64) -> F64:
    """Return the equity at the close of each UTC day, (n_days,); a day without a bar has that of the day before.

    A bar that closes at midnight ends the day before it.
    """
    day = (ts_close - 1) // DAY_US
    last: F64 = equity[np.searchsorted(day, np.arange(day[0], day[-1] + 1), "right") - 1]
    return last


def drawdown(equity: F64, ts_close: I64, initial_cash: float) -> tuple[float, int]:
    """Return the deepest drawdown, at most 0, and the longest time (microseconds) from a peak to where it is regained.

    The cash that there was at first is a peak too: at the first close what an order sent before it lost is a loss.
    """
    curve, ts = np.r_[initial_cash, equity], np.r_[ts_close[0], ts_close]
    peak = np.maximum.accumulate(curve)
    at_peak = np.r_[np.flatnonzero(curve >= peak), curve.size - 1]
    under_us = np.where(np.diff(at_peak) > 1, np.diff(ts[at_peak]), 0)
    if at_peak[-2] < curve.size - 1:
        under_us[-1] = ts[-1] - ts[at_peak[-2]]
    return float((curve / peak - 1.0).min()), int(under_us.max())


def held_bars(bars: Bars, fills: Sequence[Fill], position: F64) -> Bool:
    """Return of each bar whether a position was held in it, (n_bars,): at its close, or up to a fill within it.

    What a market order closes at the open of a bar was not held in it; a stop or a target there counts as within.
    """
    held: Bool = position != 0.0
    before = 0.0
    for fill in fills:
        if before * fill.side < 0.0 and (bars.trades or fill.order.kind != "market"):
            held[fill.bar] = True
        before = fill.position
    return held


def of_trips(trips: Sequence[RoundTrip], rounding: float) -> tuple[float | None, float | None]:
    """Return win rate and profit factor of the closed trips; a pnl within `rounding`, quote currency, is neither."""
    closed = [trip.pnl for trip in trips if trip.exit_bar >= 0]
    won, lost = [pnl for pnl in closed if pnl > rounding], [pnl for pnl in closed if pnl < -rounding]
    return len(won) / len(closed) if closed else None, finite(sum(won) / -sum(lost)) if lost else None


def buy_and_hold_return(bars: Bars, rules: Rules) -> float:
    """Return what all cash in at the second bar's open, costs included, and never out would have made."""
    if bars.n_bars < 2:
        return 0.0
    rules, cash = without_risk_rules(rules), rules.initial_cash
    fill = _taker_price(rules, 1, float(bars.open[1]), 0.0)
    quantity = float(_entry_quantity(rules, 1, cash, fill, rules.commission_rate, math.nan, -math.inf))
    left = cash - (quantity * fill + quantity * fill * rules.commission_rate)
    return (left + quantity * float(bars.close[-1])) / cash - 1.0
