"""Bars to ask features of: exact decimals in the lake, as the bars stage leaves them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tests.services.features.kernels.cases import walk
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.events import StageCall
from tickloom.contracts.features import VERSION, FeaturesRequest
from tickloom.identity import artifact_id, digest
from tickloom.lake import Lake, decimals

EVERY_FEATURE = FeaturesRequest.model_validate(
    {
        "features": [
            {"name": "sma", "timeperiod": [1, 5, 20]},
            {"name": "ema", "timeperiod": [1, 12]},
            {"name": "rsi", "timeperiod": 14},
            {"name": "atr", "timeperiod": 14},
            {"name": "bbands", "timeperiod": 20, "nbdevup": 2.0, "nbdevdn": 1.5},
            {"name": "donchian", "timeperiod": [1, 20]},
            {"name": "log_return", "timeperiod": [1, 3]},
            {"name": "volatility", "timeperiod": 10},
            {"name": "mom", "timeperiod": 4},
            {"name": "volume_zscore", "timeperiod": 15},
        ]
    }
)


def bar_table(n_bars: int, seed: int = 0) -> pa.Table:
    """Return n_bars 1-minute bars: prices in cents, volume in 1e-5, times in microseconds."""
    high, low, close = (np.round(x * 100).astype(np.int64) for x in walk(n_bars, seed))
    rng = np.random.default_rng(seed + 1000)
    volume = (rng.lognormal(10, 2, n_bars)).astype(np.int64) + 1
    ts_close = 1_640_995_200_000_000 + 60_000_000 * np.arange(1, n_bars + 1)
    return pa.table(
        {
            "ts_open": ts_close - 60_000_000,
            "ts_close": ts_close,
            "open": decimals(np.r_[close[:1], close[:-1]], 2),
            "high": decimals(high, 2),
            "low": decimals(low, 2),
            "close": decimals(close, 2),
            "volume": decimals(volume, 5),
            "n_trades": rng.integers(1, 99, n_bars),
        }
    )


def put_bars(
    lake: Lake, files: Mapping[str, pa.Table], stage: str = "bars", facts: dict[str, Any] | None = None
) -> Manifest:
    """Store tables as an artifact of bars and return its manifest."""
    entries = tuple(lake.add_table(name, table) for name, table in files.items())
    made = digest({"stage": stage, "files": [[entry.name, entry.sha256] for entry in entries]})
    return lake.put_manifest(
        Manifest(id=made, stage=stage, version=1, request={}, inputs=(), files=entries, facts=facts or {})
    )


def call_for(bars: Manifest | str, request: FeaturesRequest = EVERY_FEATURE) -> StageCall:
    """Return the work order for a request over bars."""
    inputs: Sequence[str] = (bars if isinstance(bars, str) else bars.id,)
    body = request.canonical()
    return StageCall(artifact_id=artifact_id("features", VERSION, body, inputs), request=body, inputs=tuple(inputs))
