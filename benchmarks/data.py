"""What is measured on: a month of trades as the simulator serves it, and candles of a seeded random walk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exchange_sim.archives import ArchiveStore
from exchange_sim.dataset import Dataset
from exchange_sim.names import parse_archive_path

SYMBOL = "BTCUSDT"
MONTH = "2022-01"
DAYS = 31
BAR_US = 15 * 60 * 1_000_000
RULE = {
    "fast": [5, 8, 10, 12, 15, 20, 25, 30],
    "slow": [40, 50, 60, 80, 100, 120, 150, 200],
    "trend": 200,
    "spread": 0.001,
    "stop_loss_rate": 0.02,
    "slippage_rate": 0.0005,
    "commission_rate": 0.001,
    "initial_cash": 10_000.0,
}
"""The grid of configs/sma-grid-15m.yaml: 8 x 8 windows, EMA 200 filter, spread, stop, costs."""


@dataclass(frozen=True)
class Data:
    """Where the inputs are, and how large they are."""

    archive: Path
    candles: Path
    n_candles: int


def make(folder: Path, trades_per_day: int, n_candles: int) -> Data:
    """Make the inputs below `folder`, or find them there. Equal sizes are equal bytes."""
    name = parse_archive_path(f"spot/monthly/trades/{SYMBOL}/{SYMBOL}-trades-{MONTH}.zip")
    assert name is not None
    archive = ArchiveStore(folder / "sim").get(Dataset(seed=7, trades_per_day=trades_per_day), name)
    path = folder / f"candles-{n_candles}.npz"
    if not path.exists():
        np.savez(path, **candles(n_candles))
    return Data(archive.path, path, n_candles)


def candles(n_candles: int) -> dict[str, Any]:
    """Return open, high, low, close (quote) and ts_close (microseconds) of a random walk, (n_candles,) each."""
    random = np.random.Generator(np.random.PCG64(7))
    steps = random.standard_normal((n_candles, 4)) * 0.0015
    path = 20_000.0 * np.exp(np.cumsum(steps).reshape(n_candles, 4))
    close = np.round(path[:, 3], 2)
    opened = np.concatenate([[20_000.0], close[:-1]])
    walked = np.column_stack([opened, np.round(path[:, :3], 2), close])
    ts_close = 1_577_836_800_000_000 + BAR_US * np.arange(1, n_candles + 1)
    return {"open": opened, "high": walked.max(1), "low": walked.min(1), "close": close, "ts_close": ts_close}
