"""Many symbols on one account: from the words of a request to the engine, and from its run to figures."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from services.backtest.domain.judgement import record
from services.backtest.domain.luck import luck
from services.backtest.domain.metrics import buy_and_hold_signal, without_risk_rules
from services.backtest.domain.prices import utc_day
from services.backtest.domain.stress import RandomEntries, break_even_of, surface_of
from services.backtest.kernels.engine import run_full
from services.backtest.kernels.portfolio import PortfolioRun, run_portfolio
from services.backtest.kernels.portfolio_types import (
    EQUAL,
    INVERSE_VOLATILITY,
    STILL_OPEN,
    VOLATILITY_TARGET,
    Holdings,
    Markets,
    Plan,
)
from services.backtest.kernels.types import Outcome, Prices, Tally
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.portfolio import InverseVolatility, Portfolio, VolatilityWeights, span_us
from tickloom.kernel import F64, I8, I64
from tickloom.strategy.rules import Rules

MONDAY_US = 4 * 86_400_000_000
"""Periods are counted from the first Monday of 1970: so weeks begin on Mondays, and days at midnight."""


@dataclass(frozen=True)
class Account:
    """All that a trial is run on: the symbols' bars, each and merged, and the rules."""

    symbols: tuple[str, ...]
    prices: tuple[Prices, ...]
    ts_open: tuple[I64, ...]
    markets: Markets
    rules: Rules
    plan: Plan

    def closes(self) -> I64:
        """Return the moments at which bars close, (n_closes,), microseconds UTC."""
        ts: I64 = self.markets.step_ts[~self.markets.step_opens]
        return ts

    def run(self, masks: I8, rules: Rules | None = None, *, keep: bool = False) -> PortfolioRun:
        """Trade the signals of all symbols, (n_bars,) of one behind those of the other; by other rules if given."""
        return run_portfolio(self.markets, masks, rules or self.rules, self.plan, len(self.symbols), keep=keep)


def plan_of(portfolio: Portfolio, leverage: float) -> Plan:
    """Return how the account is spread and what holds it back, as numbers."""
    weights, rebalance, limits = portfolio.weights, portfolio.rebalance, portfolio.limits
    weighting, target = EQUAL, 0.0
    if isinstance(weights, VolatilityWeights):
        weighting, target = VOLATILITY_TARGET, weights.volatility
    else:
        weighting = INVERSE_VOLATILITY if isinstance(weights, InverseVolatility) else EQUAL
        target = weights.exposure
    gross = portfolio.max_gross(leverage)
    return Plan(
        weighting=weighting,
        target=target,
        on_signal=("none", "changed", "all").index(rebalance.on_signal),
        every_us=span_us(rebalance.every) if rebalance.every else 0,
        anchor_us=MONDAY_US,
        threshold=rebalance.threshold or 0.0,
        max_weight=gross if limits.max_weight is None else limits.max_weight,
        floor_weight=gross / limits.min_holdings,
        max_gross=gross,
        max_net=gross if limits.max_net is None else limits.max_net,
        max_drawdown=limits.max_drawdown or 0.0,
        max_daily_loss=limits.max_daily_loss or 0.0,
        cooldown_us=span_us(limits.cooldown) if limits.cooldown else 0,
    )


def reads_volatility(request: BacktestRequest) -> bool:
    """Return whether the weights need to know how far prices move."""
    return request.portfolio is not None and plan_of(request.portfolio, request.leverage).weighting != EQUAL


def last_of_days(ts: I64) -> I64:
    """Return the last moment of each UTC day from the first to the last; without one, that of the day before."""
    day = utc_day(ts)
    return np.searchsorted(day - day[0], np.arange(day[-1] - day[0] + 1), "right") - 1


def outcome(run: PortfolioRun, initial_cash: float) -> Outcome:
    """Return the run as the metrics read it. `position` is the gross exposure at the last close, quote currency."""
    curve = run.curve
    peak = np.maximum(np.maximum.accumulate(curve.equity), initial_cash)
    # Where equity is at its peak a drawdown ends, and the next would begin.
    at_peak = curve.equity >= peak
    last_peak = np.maximum.accumulate(np.where(at_peak, np.arange(peak.size), 0))
    before = np.concatenate([[0], last_peak[:-1]])
    was_under = np.concatenate([[False], ~at_peak[:-1]])
    under = np.where(at_peak & ~was_under, 0, curve.ts - curve.ts[before])
    return Outcome(
        n_trades=run.trades.pnl.size,
        cash=float(curve.cash[-1]),
        position=float(curve.gross[-1]),
        equity=float(curve.equity[-1]),
        max_drawdown=min(float((curve.equity / peak - 1.0).min()), 0.0),
        max_under_us=int(under.max()),
        equity_sum=float(curve.equity.sum()),
        n_refused=run.n_refused,
        n_by_trades=0,
        n_by_guess=0,
        n_wanted=0,
        tally=_tally(run.trades, run),
    )


def _tally(trades: Holdings, run: PortfolioRun) -> Tally:
    closed = trades.pnl[trades.reason != STILL_OPEN]
    return Tally(
        n_closed=closed.size,
        n_won=int((closed > 0).sum()),
        gross_profit=float(closed[closed > 0].sum()),
        gross_loss=float(-closed[closed < 0].sum()),
        fees=float(run.fills.fee.sum()),
        notional=float((run.fills.quantity * run.fills.price).sum()),
        held_us=run.held_us,
    )


def buy_and_hold(account: Account, ts: I64) -> F64:
    """Return what an equal part of the cash in each symbol, bought at its second open and kept, is worth at `ts`.

    The part of a symbol that is not listed yet waits as cash.
    """
    share = account.rules.initial_cash / len(account.prices)
    rules = without_risk_rules(account.rules)._replace(initial_cash=share)
    total = np.zeros(ts.size)
    for prices in account.prices:
        equity = np.concatenate([[share], run_full(prices, buy_and_hold_signal(), rules)[2].equity])
        total += equity[np.searchsorted(prices.ts_close, ts, "right")]
    return total


def judge_portfolio(account: Account, masks: I8, returns: F64, best: int, seed: int) -> dict[str, Any]:
    """Return the record of the best trial, as `judge` does for one symbol.

    There are no random entries and no shuffled trades: positions of many symbols are held at one time, so what moves
    one moves the room of all, and trades in another order would lose one by one what they lost together.
    """
    cash = account.rules.initial_cash
    found = luck(returns, best, np.empty(0), seed)

    def returned(rules: Rules) -> float:
        return float(account.run(masks, rules).curve.equity[-1] / cash - 1.0)

    surface, even = surface_of(returned, account.rules), break_even_of(returned, account.rules)
    random = RandomEntries((), None, "positions of many symbols are held at one time: what moves one moves all")
    return record(found, account.rules, surface, even, random, returns[:, best])
