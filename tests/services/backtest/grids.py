"""Signals of a small grid over two symbols, made by the real stage."""

from typing import Any

import pandas as pd

from services.signals.job import SignalsJob
from tests.services.signals.stages import SMAS, bars_table, features_artifact, stage_call
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.http import Report
from tickloom.lake import Lake

RULES = {
    "long_entry": "sma_{fast} > sma_{slow}", "long_exit": "sma_{fast} < sma_{slow}",
    "short_entry": "sma_{fast} < sma_{slow} AND close < prev_close", "short_exit": "sma_{fast} > sma_{slow}",
    "parameters": {"fast": [2, 3, 5], "slow": [8, 13, 21]},
}  # fmt: skip
BARS = {"BTCUSDT": 400, "ETHUSDT": 300}


def request(**changes: Any) -> BacktestRequest:
    return BacktestRequest.model_validate({"stop_loss_rate": 0.02} | changes)


def signals_in(lake: Lake, market: str = "spot", **changes: Any) -> Manifest:
    features = features_artifact(lake, {s: bars_table(n, seed=n) for s, n in BARS.items()}, SMAS, market)
    return SignalsJob(lake).run(
        stage_call("signals", SignalsRequest.model_validate(RULES | changes), features), Report()
    )


def frame(lake: Lake, manifest: Manifest, name: str) -> pd.DataFrame:
    return lake.read_table(lake.entry(manifest, name)).to_pandas()
