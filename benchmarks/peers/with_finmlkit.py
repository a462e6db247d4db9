"""With finmlkit: numba kernels over a frame of trades. Runs in an environment of its own.

The frame is given without the preprocessing that it offers, which merges trades and takes three seconds of ten million.
"""

import logging
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np

logging.disable(logging.INFO)
warnings.filterwarnings("ignore")

from finmlkit.bar.data_model import TradesData  # noqa: E402
from finmlkit.bar.kit import DollarBarKit, TickBarKit, VolumeBarKit  # noqa: E402

KITS = {"tick": TickBarKit, "volume": VolumeBarKit, "dollar": DollarBarKit}
_trades: Any = None


def versions() -> dict[str, str]:
    """Return the versions that matter here."""
    return {"finmlkit": version("finmlkit")}


def load(columns: str) -> None:
    """Keep all trades in memory for bars_in_memory."""
    global _trades
    with np.load(columns) as file:
        side = np.where(file["maker"], -1, 1).astype(np.int8)
        ids, ts = file["id"], file["ts"] * 1000
        _trades = TradesData(ts, file["price"], file["quantity"], ids, side=side, timestamp_unit="ns")


def bars_in_memory(spec: dict[str, Any]) -> dict[str, Any]:
    """Build bars of the trades in memory: its table of prices and its table of sides."""
    threshold = spec["threshold"] if spec["kind"] == "tick" else float(spec["threshold"])
    kit = KITS[spec["kind"]](_trades, threshold)
    bars, sides = kit.build_ohlcv(), kit.build_directional_features()
    names = {"open": bars["open"], "close": bars["close"], "volume": bars["volume"], "n_trades": bars["trades"]}
    sums = {name: float(column.sum()) for name, column in names.items()}
    return {"n_bars": len(bars), **sums, "buy_volume": float(sides["volume_buy"].sum())}
