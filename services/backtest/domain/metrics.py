"""What a run was worth. A statistic that is undefined is None, never 0 and never infinite.

Sharpe and Sortino ratio are of the returns between the equities at the close of consecutive UTC days, the first day's
close being the first base; days without a bar return 0. Per year: sqrt(365), for these markets never close.

Source: Sharpe (1994), The Sharpe Ratio; Sortino and Price (1994), Performance Measurement in a Downside Risk Framework
(target 0, downside deviation over all days); Young (1991), Calmar Ratio (here over the whole run).
"""

import math
from typing import TypedDict

import numpy as np

from services.backtest.domain.prices import DAY_US
from services.backtest.kernels.engine import run_summary
from services.backtest.kernels.types import Outcome, Prices, Signal
from tickloom.contracts.signals import LONG_ENTRY
from tickloom.kernel import F64, I64
from tickloom.strategy.rules import Rules

DAYS_A_YEAR = 365
ROUNDING = 1e-12
"""A deviation below this share is rounding of equity, not risk."""


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


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cagr(growth: float, elapsed_us: int) -> float | None:
    if growth <= 0 or elapsed_us <= 0:
        return None
    years = elapsed_us / (DAYS_A_YEAR * DAY_US)
    try:
        return _finite(math.expm1(math.log(growth) / years))
    except OverflowError:
        return None


def _sharpe_and_sortino(daily: F64) -> tuple[float | None, float | None]:
    """Return both ratios, a year, of the equity at the close of each day, (n_days,)."""
    if daily.size < 3 or (daily <= 0).any():
        return None, None
    returns = daily[1:] / daily[:-1] - 1.0
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    downside = math.sqrt(float(np.square(np.minimum(returns, 0.0)).mean()))
    scale = mean * math.sqrt(DAYS_A_YEAR)
    return (
        _finite(scale / deviation) if deviation > ROUNDING else None,
        _finite(scale / downside) if downside > ROUNDING else None,
    )


def buy_and_hold_signal() -> Signal:
    """Return the signal of the benchmark: all cash at the first open there is after a close, and never out."""
    return Signal(np.array([0]), np.array([LONG_ENTRY], np.int8))


def without_risk_rules(rules: Rules) -> Rules:
    """Return the benchmark's rules: the same money, fees and slippage, all invested at the market, no risk rule."""
    return Rules(rules.initial_cash, 1.0, rules.commission_rate, rules.slippage_rate, 0.0)


def buy_and_hold_return(prices: Prices, rules: Rules) -> float:
    """Return what all cash in at the second bar's open, costs included, and never out would have made."""
    outcome, _ = run_summary(prices, buy_and_hold_signal(), without_risk_rules(rules))
    return float(outcome.equity / rules.initial_cash - 1.0)


def metrics(prices: Prices, rules: Rules, outcome: Outcome, daily: F64, benchmark: float) -> Metrics:
    """Return the figures of a run.

    outcome, daily  as `run_summary` gives them
    benchmark       `buy_and_hold_return` of the same prices and rules
    """
    return figures(prices.ts_close, rules.initial_cash, outcome, daily, benchmark)


def figures(ts_close: I64, initial_cash: float, outcome: Outcome, daily: F64, benchmark: float) -> Metrics:
    """Return the figures of a run whose account was marked at `ts_close`, (n_bars,); otherwise as `metrics`."""
    tally = outcome.tally
    elapsed_us = int(ts_close[-1] - ts_close[0])
    growth = outcome.equity / initial_cash
    cagr = _cagr(growth, elapsed_us)
    sharpe, sortino = _sharpe_and_sortino(daily)
    mean_equity = outcome.equity_sum / ts_close.size
    return Metrics(
        total_return=float(growth - 1.0),
        cagr=cagr,
        sharpe_ratio=sharpe,
        sortino_ratio=sortino,
        calmar_ratio=_finite(cagr / -outcome.max_drawdown)
        if cagr is not None and outcome.max_drawdown < -ROUNDING
        else None,
        max_drawdown=float(outcome.max_drawdown),
        max_drawdown_duration=outcome.max_under_us / DAY_US,
        win_rate=tally.n_won / tally.n_closed if tally.n_closed else None,
        profit_factor=_finite(tally.gross_profit / tally.gross_loss) if tally.gross_loss > 0 else None,
        exposure=tally.held_us / elapsed_us if elapsed_us else None,
        turnover=tally.notional / mean_equity if mean_equity > 0 else None,
        fees_paid=float(tally.fees),
        n_trades=int(outcome.n_trades),
        is_open=outcome.position != 0,
        final_equity=float(outcome.equity),
        buy_and_hold_return=benchmark,
    )
