"""Closes to metrics: features, rules as SQL, fills, stops, costs, all metrics of each trial."""

from typing import Any

import numpy as np

from benchmarks.ours.ingest import versions
from services.backtest.domain.account import account_rules
from services.backtest.domain.latency import changes_of, masks_of
from services.backtest.domain.metrics import buy_and_hold_return, metrics
from services.backtest.domain.prices import checked_prices
from services.backtest.kernels.engine import run_full, run_summary
from services.backtest.kernels.types import Signal
from services.features.domain.catalogue import compute
from services.signals.domain.rules import Rules as SignalRules
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.features import FeaturesRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.rules.grid import combinations

__all__ = ["versions"]


_ready: dict[str, Any] = {}


def prepare(candles: str, rule: dict[str, Any]) -> None:
    """Keep bars and masks in memory."""
    with np.load(candles) as file:
        _ready.update({name: file[name] for name in file.files})
    n_bars = _ready["close"].size
    _ready["masks"] = [masks_of(signal, n_bars) for signal in _signals(_ready, rule)]


def prepared(rule: dict[str, Any]) -> dict[str, Any]:
    """Trade the masks that are ready."""
    return _traded(_ready, list(map(changes_of, _ready["masks"])), rule)


def grid(rule: dict[str, Any]) -> dict[str, Any]:
    """Run the grid over the bars that are ready."""
    return _traded(_ready, _signals(_ready, rule), rule)


def _signals(bars: dict[str, Any], rule: dict[str, Any]) -> list[Signal]:
    """Return the signals of all combinations, from features by rules in SQL."""
    close = bars["close"]
    request = FeaturesRequest.model_validate(
        {
            "features": [
                {"name": "sma", "timeperiod": sorted(rule["fast"] + rule["slow"])},
                {"name": "ema", "timeperiod": rule["trend"]},
            ]
        }
    )
    inputs = {"high": bars["high"], "low": bars["low"], "close": close, "volume": np.ones_like(close)}
    columns = {column.name: column.values for column in compute(inputs, request.features)} | {"close": close}
    entry = f"sma_{{fast}} > sma_{{slow}} AND close > ema_{rule['trend']}"
    signals = SignalsRequest.model_validate(
        {
            "long_entry": f"{entry} AND (sma_{{fast}} - sma_{{slow}}) / close >= {rule['spread']}",
            "long_exit": "sma_{fast} < sma_{slow}",
            "parameters": {"fast": rule["fast"], "slow": rule["slow"]},
        }
    )
    changes = SignalRules.of(signals).changes(combinations(signals.parameters), columns, close.size)
    return [Signal(*each) for each in changes]


def _traded(bars: dict[str, Any], signals: list[Signal], rule: dict[str, Any]) -> dict[str, Any]:
    prices = checked_prices("walk", *(bars[name] for name in ("open", "high", "low", "close", "ts_close")))
    costs = {name: rule[name] for name in ("initial_cash", "commission_rate", "slippage_rate", "stop_loss_rate")}
    account = account_rules(BacktestRequest.model_validate(costs))
    benchmark = buy_and_hold_return(prices, account)
    runs = [metrics(prices, account, *run_summary(prices, signal, account), benchmark) for signal in signals]
    return {"n_trades": [run["n_trades"] for run in runs], "total_return": [run["total_return"] for run in runs]}


def trades(market: str, rule: dict[str, Any]) -> list[dict[str, list[Any]]]:
    """Trade every mask; return the closed trades of each."""
    with np.load(market) as file:
        bars = {name: file[name] for name in file.files}
    prices = checked_prices("market", *(bars[name] for name in ("open", "high", "low", "close", "ts_close")))
    costs = {name: rule[name] for name in ("initial_cash", "commission_rate", "slippage_rate")}
    guards = {name: rule[name] or None for name in ("stop_loss_rate", "take_profit_rate")}
    account = account_rules(BacktestRequest.model_validate(costs | guards))
    found = []
    for mask in bars["masks"]:
        made = run_full(prices, changes_of(mask), account)[3]
        closed = made.exit_bar >= 0
        columns = {"entry_bar": made.entry_bar, "exit_bar": made.exit_bar}
        columns |= {"entry_price": made.entry_fill, "exit_price": made.exit_fill}
        found.append({name: column[closed].tolist() for name, column in columns.items()})
    return found
