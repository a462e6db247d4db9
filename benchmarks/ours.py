"""Tickloom's own code as the services call it, less HTTP and queue: text to lake, trades to bars, closes to metrics."""

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from services.backtest.domain.metrics import buy_and_hold_return, metrics
from services.backtest.domain.prices import checked_prices
from services.backtest.kernels.engine import run_summary
from services.backtest.kernels.types import Rules as AccountRules
from services.bars.adapters.partitions import load_trades, scales_of
from services.bars.domain.build import close_bars
from services.bars.domain.rule import Rule
from services.bars.domain.state import State, Trades
from services.download.adapters.archive import open_member
from services.download.adapters.ingest import Source
from services.download.adapters.ingest import ingest as ingest_text
from services.download.domain.archives import period_of
from services.download.domain.layouts import layout_of
from services.download.domain.quality import Quality
from services.features.domain.catalogue import compute
from services.signals.domain.grid import combinations
from services.signals.domain.rules import Rules as SignalRules
from tickloom.contracts.artifact import FileEntry
from tickloom.contracts.features import FeaturesRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.lake import Lake

_lake: Lake | None = None
_days: list[FileEntry] = []
_trades: Trades | None = None
DAY_US = 86_400_000_000


def versions() -> dict[str, str]:
    """Return the versions that matter here."""
    return {name: version(name) for name in ("tickloom", "numba", "pyarrow", "numpy")}


def ingest(archive: str, folder: str, symbol: str) -> None:
    """Read a zipped CSV into day partitions: checked rows, exact decimals, page checksums, SHA-256, quality record."""
    global _lake, _days
    shutil.rmtree(folder, ignore_errors=True)
    lake, path = Lake(folder), Path(archive)
    first, last = period_of(path.stem) or (None, None)
    assert first is not None
    assert last is not None
    source = Source(path.name, symbol, layout_of("spot", "trades"), "", first, last, path.stem)
    with lake.scratch() as scratch, open_member(path, path.name, f"{path.stem}.csv") as chunks:
        part = ingest_text(lake, scratch, source, chunks, Quality(path.name, "", "", path.stat().st_size))
    _lake, _days = lake, [entry for entry in part.files if entry.rows is not None]


def ingested() -> dict[str, Any]:
    """Return what the last ingest stored, read back."""
    found = _read()
    return {
        "rows": int(found.ids.size),
        "ids": [int(found.ids.min()), int(found.ids.max())],
        "quantity": float(found.quantity.sum()) / 10 ** scales_of(_days)["quantity_scale"],
        "bytes": sum(entry.bytes for entry in _days),
    }


def _read() -> Trades:
    assert _lake is not None
    scales = scales_of(_days)
    days = [load_trades(_lake, entry, scales) for entry in _days]
    columns = ("ids", "ts", "price", "quantity", "side")
    return Trades(*(np.concatenate([getattr(day, name) for day in days]) for name in columns))


def load() -> float:
    """Keep all trades in memory for bars_in_memory; return their notional in quote currency."""
    global _trades
    _trades = _read()
    scales = scales_of(_days)
    notional = sum((_trades.price * _trades.quantity).tolist())
    return float(notional) / float(10 ** (scales["price_scale"] + scales["quantity_scale"]))


def _rule(threshold: float) -> Rule:
    scales = scales_of(_days)
    return Rule("dollar", round(threshold * 10 ** (scales["price_scale"] + scales["quantity_scale"])))


def _summary(n_bars: int, volume: int) -> dict[str, Any]:
    return {"n_bars": n_bars, "volume": volume / 10 ** scales_of(_days)["quantity_scale"]}


def bars_in_memory(threshold: float) -> dict[str, Any]:
    """Build dollar bars of trades in memory; the volume includes the open bar's."""
    assert _trades is not None
    bars, left = close_bars(_trades, _rule(threshold), State(), 0)
    volume = int(bars.columns["volume"].sum()) + (left.open_bar() or {"volume": 0})["volume"]
    return _summary(bars.n_bars, volume)


def bars_from_parquet(threshold: float) -> dict[str, Any]:
    """Build dollar bars from the day partitions, page checksums verified, state carried from day to day."""
    assert _lake is not None
    rule, scales, state, n_bars, volume = _rule(threshold), scales_of(_days), State(), 0, 0
    for entry in _days:
        bars, state = close_bars(load_trades(_lake, entry, scales), rule, state, 0)
        n_bars += bars.n_bars
        volume += int(bars.columns["volume"].sum())
    return _summary(n_bars, volume + (state.open_bar() or {"volume": 0})["volume"])


def grid(candles: str, rule: dict[str, Any]) -> dict[str, Any]:
    """Run the grid from closes to metrics: features, rules as SQL, fills, stops, costs, all metrics of each trial."""
    with np.load(candles) as file:
        bars = {name: file[name] for name in file.files}
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
    masks = SignalRules.of(signals).masks(combinations(signals.parameters), columns, close.size)
    prices = checked_prices("walk", bars["open"], bars["high"], bars["low"], close, bars["ts_close"])
    account = AccountRules(
        rule["initial_cash"], 1.0, rule["commission_rate"], rule["slippage_rate"], rule["stop_loss_rate"]
    )
    benchmark = buy_and_hold_return(prices, account)
    runs = [metrics(prices, account, *run_summary(prices, mask, account), benchmark) for mask in masks]
    return {"n_trades": [run["n_trades"] for run in runs], "total_return": [run["total_return"] for run in runs]}
