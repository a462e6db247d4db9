"""What is kept of a golden strategy: every figure in full, and digests of its signals, orders and fills.

What may differ from machine to machine, and what is therefore kept how:

- Whole numbers (bars, sides, reasons) and everything made of + - * / and the root, in one fixed order, by kernels that
  are compiled without fastmath: the same bits on any machine with IEEE 754 doubles. Kept as exact digests and figures.
- Logarithm and exponential come from the C library or from numpy's vector code, and their last bit may differ. They
  are in `cagr` and `calmar_ratio`, compared to 1e-12, and in the volatility by which some strategies size their
  entries or pay for impact: of these (`logarithms` is true) the fills have no digest, and the figures agree to 1e-9.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.backtest.adapters.tables import REASONS
from services.backtest.domain.account import account_rules, reads_volatility, reads_volume
from services.backtest.domain.inside import Opener
from services.backtest.domain.latency import acting_bars, late
from services.backtest.domain.metrics import buy_and_hold_return, metrics
from services.backtest.domain.prices import checked_flow, checked_prices, with_stop_unit
from services.backtest.kernels.engine import run_full
from services.backtest.kernels.inside import BY_TRADES
from services.backtest.kernels.types import Curve, Outcome, Prices, Signal, Trades
from services.features.domain.catalogue import compute
from services.signals.domain.rules import Rules as SignalRules
from tests.golden.markets import MADE, Columns, bars_of, digest_of, opens_of
from tests.golden.strategies import Strategy
from tickloom.kernel import F64, I64
from tickloom.strategy.rules import Rules

Record = dict[str, Any]
ORDERS = ("entry_bar", "exit_bar", "side", "reason", "kind")
FILLS = ("quantity", "entry_fill", "exit_fill", "fees", "slippage", "pnl")
OF_LOGARITHMS = ("cagr", "calmar_ratio")


def inputs_of(strategy: Strategy, columns: Columns, ts_close: I64) -> tuple[Prices, Signal, Rules]:
    """Return what the engine is given: bars with what the account's rules read of them, signals, rules."""
    request = strategy.backtest_request()
    rules = account_rules(request)
    prices = checked_prices(strategy.market, *(columns[n] for n in ("open", "high", "low", "close")), ts_close)
    window = request.volatility_bars if reads_volatility(rules) else 0
    prices = checked_flow(strategy.market, prices, columns["volume"] if reads_volume(rules) else None, window)
    features = compute(columns, strategy.features_request().features)
    known = columns | {column.name: column.values for column in features}
    prices = with_stop_unit(prices, known[request.stop_loss.column] if request.stop_loss else None)
    (changes,) = SignalRules.of(strategy.signals_request()).changes([{}], known, ts_close.size)
    signal, latency_us = Signal(*changes), request.latency_ms * 1000
    if latency_us:
        signal = late(signal, acting_bars(opens_of(strategy.market, ts_close), ts_close, latency_us))
    return prices, signal, rules


def played(
    strategy: Strategy, prices: Prices, signal: Signal, rules: Rules, paths: Sequence[F64]
) -> tuple[Outcome, F64, Curve, Trades]:
    """Run the engine as `run_full` does; `paths` are the prices of each bar's trades, if the strategy sees them."""
    if not strategy.sees_trades:
        return run_full(prices, signal, rules)
    n_trades = np.array([path.size for path in paths])
    fills = strategy.backtest_request().inside_bar == "fills"
    return Opener(prices, lambda bars: [paths[bar] for bar in bars], n_trades, fills=fills).full(signal, rules)


def paths_of(strategy: Strategy) -> Sequence[F64]:
    """Return the prices of each bar's trades, for a strategy that sees them."""
    return MADE[strategy.market]()[2] if strategy.sees_trades else ()


def record_of(strategy: Strategy, shared_data: Path | None) -> Record:
    """Return what a strategy does now."""
    prices, signal, rules = inputs_of(strategy, *bars_of(strategy.market, shared_data))
    outcome, daily, _, trades = played(strategy, prices, signal, rules, paths_of(strategy))
    logarithms = reads_volatility(rules)
    reasons = [REASONS[reason] for reason in trades.reason.tolist()]
    return {
        "bars": digest_of(*bars_of(strategy.market, shared_data)),
        "signals": hashlib.sha256(signal.bar.astype("<i8").tobytes() + signal.mask.tobytes()).hexdigest(),
        "orders": digest(trades, ORDERS, "<i8"),
        "fills": None if logarithms else digest(trades, FILLS, "<f8"),
        "logarithms": logarithms,
        "counts": {
            "bars": prices.close.size, "changes": signal.bar.size, "refused": outcome.n_refused,
**({"decided by trades": int((trades.source == BY_TRADES).sum())} if strategy.sees_trades else {}),
            **{f"left by {name}": reasons.count(name) for name in REASONS.values() if name in reasons},
        },
        "metrics": dict(metrics(prices, rules, outcome, daily, buy_and_hold_return(prices, rules))),
    }  # fmt: skip


def digest(trades: Trades, columns: tuple[str, ...], kind: str) -> str:
    """Return the sha256 of columns of the trades, one after another; what is missing (NaN) counts as 0."""
    parts = (np.nan_to_num(getattr(trades, name), nan=0.0).astype(kind).tobytes() for name in columns)
    return hashlib.sha256(b"".join(parts)).hexdigest()


def differences(kept: Record, found: Record) -> list[str]:
    """Return a line for each thing that is not as it was kept, most telling first."""
    lines = []
    for name in ("bars", "signals", "orders", "fills", "logarithms", "counts"):
        if kept.get(name) != found[name]:
            lines.append(f"{name}: {_short(kept.get(name))} -> {_short(found[name])}")
    known = kept.get("metrics", {})
    for name in sorted(set(known) | set(found["metrics"])):
        before, now = known.get(name), found["metrics"].get(name)
        if not _same(before, now, 1e-9 if found["logarithms"] else 1e-12 if name in OF_LOGARITHMS else 0.0):
            lines.append(f"{name}: {before!r} -> {now!r}")
    return lines


def _same(before: Any, now: Any, within: float) -> bool:
    if isinstance(before, float) and isinstance(now, float):
        return abs(before - now) <= within * max(abs(before), abs(now))
    return bool(before == now)


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) else repr(value)
