"""Golden accounts of many symbols: bars, features, rules and portfolio of each, and what is kept of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from services.backtest.adapters.portfolio import LIMITS, REASONS
from services.backtest.domain.account import account_rules
from services.backtest.domain.latency import masks_of
from services.backtest.domain.metrics import figures
from services.backtest.domain.portfolio import Account, buy_and_hold, last_of_days, outcome, plan_of, reads_volatility
from services.backtest.domain.prices import checked_flow, checked_prices
from services.backtest.domain.timeline import merged
from services.backtest.kernels.portfolio import PortfolioRun
from services.backtest.kernels.types import Signal
from services.features.domain.catalogue import compute
from services.signals.domain.rules import Rules as SignalRules
from tests.golden.markets import MADE, bars_of, digest_of, opens_of
from tests.golden.record import Record, digest
from tests.golden.strategies import AVERAGES, CROSS, FLIP, Strategy
from tickloom.kernel import I8

HALF_NET = {"max_weight": 0.5, "max_net": 0.6, "max_drawdown": 0.3, "cooldown": "4w"}


@dataclass(frozen=True)
class Shared:
    """One row: the rules of a Strategy over several markets, `account` a BacktestRequest with a portfolio."""

    name: str
    markets: tuple[str, ...]
    features: dict[str, list[int]]
    rules: dict[str, Any]
    account: dict[str, Any]

    @property
    def is_made(self) -> bool:
        return all(market in MADE for market in self.markets)

    def of(self, market: str) -> Strategy:
        """Return the strategy of one of its symbols."""
        return Strategy(self.name, market, self.features, self.rules, self.account)


COINS = ("btc_daily", "eth_daily", "xlm_daily")
SIMULATED = ("sim_btc_15m", "sim_eth_dollar", "sim_doge_tick")

ACCOUNTS = (
    Shared("three coins in equal parts", COINS, AVERAGES, CROSS, {"portfolio": {}}),
    Shared(
        "three coins at a target volatility, made right each week", COINS, AVERAGES, FLIP,
        {"volatility_bars": 30, "portfolio": {"weights": {"kind": "volatility_target", "volatility": 0.4},
         "rebalance": {"on_signal": "changed", "every": "1w", "threshold": 0.1}, "limits": HALF_NET}},
    ),
    Shared(
        "three coins with five times their money until they are liquidated", COINS, AVERAGES, FLIP,
        {"leverage": 5, "maintenance_rate": 0.05, "portfolio": {"weights": {"kind": "equal", "exposure": 5}}},
    ),
    Shared("quarter hours, dollar bars and tick bars on one account", SIMULATED, AVERAGES, FLIP,
           {"portfolio": {"limits": {"max_daily_loss": 0.02, "min_holdings": 2}}, "lot_step": 0.001}),
    Shared("three made markets by their volatility, with twelve times their money", SIMULATED, AVERAGES, FLIP,
           {"leverage": 12, "maintenance_rate": 0.05, "commission_rate": 0.0002, "portfolio":
            {"weights": {"kind": "inverse_volatility", "exposure": 12}, "rebalance": {"on_signal": "changed"},
             "limits": {"max_weight": 6}}}),
)  # fmt: skip


def account_of(shared: Shared, shared_data: Path | None) -> tuple[Account, list[I8]]:
    """Return the account, and what each bar of each symbol says."""
    request = shared.of(shared.markets[0]).backtest_request()
    assert request.portfolio is not None
    is_read, prices, masks, opens = reads_volatility(request), [], [], []
    for market in shared.markets:
        strategy, (columns, ts_close) = shared.of(market), bars_of(market, shared_data)
        bars = checked_prices(market, *(columns[n] for n in ("open", "high", "low", "close")), ts_close)
        prices.append(checked_flow(market, bars, None, request.volatility_bars if is_read else 0))
        known = columns | {c.name: c.values for c in compute(columns, strategy.features_request().features)}
        (changes,) = SignalRules.of(strategy.signals_request()).changes([{}], known, ts_close.size)
        masks.append(masks_of(Signal(*changes), ts_close.size))
        opens.append(opens_of(market, ts_close))
    together = merged(prices, opens, read_volatility=is_read, warm_up=request.volatility_bars)
    rules, plan = account_rules(request), plan_of(request.portfolio, request.leverage)
    return Account(shared.markets, tuple(prices), tuple(opens), together, rules, plan), masks


def record_of(shared: Shared, shared_data: Path | None) -> Record:
    """Return what an account does now."""
    account, masks = account_of(shared, shared_data)
    run, cash = account.run(np.concatenate(masks), keep=True), account.rules.initial_cash
    ts, logarithms = run.curve.ts, bool(account.markets.volatility.size)
    benchmark = float(buy_and_hold(account, ts[-1:])[0] / cash - 1.0)
    daily = run.curve.equity[last_of_days(ts)]
    return {
        "bars": "".join(digest_of(*bars_of(market, shared_data))[:16] for market in shared.markets),
        "signals": digest_of({str(k): mask.astype(float) for k, mask in enumerate(masks)}, ts),
        "orders": digest(run.fills, ("symbol", "bar", "side", "reason"), "<i8"),
        "fills": None if logarithms else digest(run.fills, ("quantity", "price", "fee", "slippage"), "<f8"),
        "logarithms": logarithms,
        "counts": counts_of(run),
        "metrics": dict(figures(ts, cash, outcome(run, cash), daily, benchmark)),
    }


def counts_of(run: PortfolioRun) -> dict[str, int]:
    """Return how many fills there were for which reason, and how often each limit fired."""
    reasons = [REASONS[code] for code in run.fills.reason.tolist()]
    limits = [LIMITS[code] for code in run.events.limit.tolist()]
    return {
        "closes": run.curve.ts.size, "refused": run.n_refused,
        **{f"fills by {name}": reasons.count(name) for name in REASONS.values() if name in reasons},
        **{f"limit {name}": limits.count(name) for name in LIMITS.values() if name in limits},
    }  # fmt: skip
