"""What luck/<symbol>.json holds: the statistics of the choice, the stress of its costs, and the curves of its walks."""

from typing import Any

import numpy as np

from services.backtest.domain.luck import Luck, luck
from services.backtest.domain.resampling import QUANTILES
from services.backtest.domain.stress import (
    CostSurface,
    RandomEntries,
    Run,
    break_even_cost,
    cost_surface,
    random_entries,
)
from services.backtest.domain.walk_forward import WalkForward
from services.backtest.kernels.types import OPEN, Outcome, Prices, Signal, Trades
from tickloom.kernel import F64
from tickloom.strategy.rules import Rules


def judge(
    prices: Prices,
    run: Run,
    signal: Signal,
    rules: Rules,
    outcome: Outcome,
    trades: Trades,
    returns: F64,
    best: int,
    *,
    seed: int,
) -> dict[str, Any]:
    """Return the record of the best trial.

    run                      runs a trial over these prices
    signal, outcome, trades  of the best trial
    returns                  (n_days, n_trials), daily, of every trial
    best                     its column
    """
    found = luck(returns, best, trade_returns(trades, rules.initial_cash), seed)
    surface = cost_surface(run, signal, rules)
    own = float(outcome.equity / rules.initial_cash - 1.0)
    random = random_entries(prices, trades, rules, own, seed)
    even = break_even_cost(run, signal, rules)
    return record(found, rules, surface, even, random, returns[:, best])


def record(
    found: Luck, rules: Rules, surface: CostSurface, even: float | None, random: RandomEntries, returns: F64
) -> dict[str, Any]:
    """Return the record as JSON values; `returns` are the best trial's, (n_days,)."""
    return found.facts | {
        "costs": {
            "commission_rate": rules.commission_rate,
            "slippage_rate": rules.slippage_rate,
            "break_even": even,
            "commission_rates": surface.commission_rates,
            "slippage_rates": surface.slippage_rates,
            "total_return": surface.total_return,
        },
        "random_entries": {
            "p_value": random.p_value,
            "reason": random.reason,
            "n_runs": len(random.total_return),
            "total_return": [float(value) for value in np.quantile(random.total_return, QUANTILES)]
            if random.total_return
            else None,
        },
        "curves": curves(returns, found.anchored, found.rolling),
    }


def trade_returns(trades: Trades, initial_cash: float) -> F64:
    """Return what each closed trade made on the equity before it, (n_closed,); nothing once the account is ruined."""
    pnl = trades.pnl[trades.reason != OPEN]
    before = initial_cash + np.concatenate([[0.0], np.cumsum(pnl)[:-1]]) if pnl.size else pnl
    return np.asarray(np.maximum(pnl[before > 0] / before[before > 0], -1.0), np.float64)


def curves(best: F64, anchored: WalkForward | None, rolling: WalkForward | None) -> dict[str, list[float | None]]:
    """Return equities by day as multiples of the initial cash, (n_days + 1,) each.

    The walks begin where they are first out of sample, at the equity that the best trial has there; before, None.
    """
    equity = np.concatenate([[1.0], np.cumprod(1.0 + best)])
    lines: dict[str, list[float | None]] = {"best": equity.tolist()}
    for name, walk in (("anchored", anchored), ("rolling", rolling)):
        if walk is None:
            lines[name] = [None] * equity.size
            continue
        lived = equity[walk.start] * np.concatenate([[1.0], np.cumprod(1.0 + walk.returns)])
        lines[name] = [None] * walk.start + lived.tolist()
    return lines
