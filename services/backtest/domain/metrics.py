"""What a run of the engine of grids was worth, by the formulas that both engines share."""

import numpy as np

from services.backtest.domain.prices import DAY_US
from services.backtest.kernels.engine import run_summary
from services.backtest.kernels.types import Outcome, Prices, Signal
from tickloom.contracts.signals import LONG_ENTRY
from tickloom.kernel import F64, I64
from tickloom.strategy.metrics import (
    DAYS_A_YEAR,
    Metrics,
    cagr,
    calmar,
    finite,
    sharpe_and_sortino,
    without_risk_rules,
)
from tickloom.strategy.rules import Rules

__all__ = [
    "DAYS_A_YEAR", "Metrics", "buy_and_hold_return", "buy_and_hold_signal", "figures", "metrics", "without_risk_rules",
]  # fmt: skip


def buy_and_hold_signal() -> Signal:
    """Return the signal of the benchmark: all cash at the first open there is after a close, and never out."""
    return Signal(np.array([0]), np.array([LONG_ENTRY], np.int8))


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
    a_year = cagr(growth, elapsed_us)
    sharpe, sortino = sharpe_and_sortino(daily)
    mean_equity = outcome.equity_sum / ts_close.size
    return Metrics(
        total_return=float(growth - 1.0),
        cagr=a_year,
        sharpe_ratio=sharpe,
        sortino_ratio=sortino,
        calmar_ratio=calmar(a_year, outcome.max_drawdown),
        max_drawdown=float(outcome.max_drawdown),
        max_drawdown_duration=outcome.max_under_us / DAY_US,
        win_rate=tally.n_won / tally.n_closed if tally.n_closed else None,
        profit_factor=finite(tally.gross_profit / tally.gross_loss) if tally.gross_loss > 0 else None,
        exposure=tally.held_us / elapsed_us if elapsed_us else None,
        turnover=tally.notional / mean_equity if mean_equity > 0 else None,
        fees_paid=float(tally.fees),
        n_trades=int(outcome.n_trades),
        is_open=outcome.position != 0,
        final_equity=float(outcome.equity),
        buy_and_hold_return=benchmark,
    )
