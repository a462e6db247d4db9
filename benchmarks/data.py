"""What is measured on: a month of aggregate trades as the simulator makes them, and candles of a seeded random walk."""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from exchange_sim.archives import csv_chunks
from exchange_sim.calendar import calendar
from exchange_sim.dataset import Dataset
from exchange_sim.names import parse_archive_path

SYMBOL = "BTCUSDT"
MONTH = "2022-01"
LEVEL = 6
"""How hard the zip is compressed: 14.4 bytes a row, where the archives of the exchange have 12.5 to 15.6."""
SEED = 7
BAR_US = 15 * 60 * 1_000_000


class GridRule(TypedDict):
    """The windows of a grid, its filter and its account."""

    fast: list[int]
    slow: list[int]
    trend: int
    spread: float
    stop_loss_rate: float
    slippage_rate: float
    commission_rate: float
    initial_cash: float


RULE: GridRule = {
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
EVENTS = RULE | {"fast": 12, "slow": 26, "spread": 0.0005}
"""One strategy for engines of events: EMA 12 crosses EMA 26, above EMA 200, by a spread; the same stop and costs."""


@dataclass(frozen=True)
class Archive:
    """A zipped CSV, and how many rows it has."""

    path: Path
    rows: int


def archive(folder: Path, rows: int) -> Archive:
    """Make the month with about so many aggregate trades below `folder`, or find it there: equal sizes, equal bytes."""
    stem = f"{SYMBOL}-aggTrades-{MONTH}"
    name = parse_archive_path(f"spot/monthly/aggTrades/{SYMBOL}/{stem}.zip")
    assert name is not None
    dataset, n_rows = _of_size(rows)
    path = folder / f"{rows}-trades" / f"{stem}.zip"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        large = rows > 20_000_000
        with (
            zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as zipped,
            zipped.open(f"{stem}.csv", "w", force_zip64=large) as out,
        ):
            for chunk in csv_chunks(dataset, name):
                out.write(chunk)
        part.replace(path)
    return Archive(path, n_rows)


def _of_size(rows: int) -> tuple[Dataset, int]:
    """Return the dataset whose month comes nearest to a number of aggregate trades, and the number that it has."""
    name = parse_archive_path(f"spot/monthly/aggTrades/{SYMBOL}/{SYMBOL}-aggTrades-{MONTH}.zip")
    assert name is not None

    def of(trades_per_day: int) -> int:
        days = calendar(SEED, trades_per_day, SYMBOL, "spot")
        return int(days.n_aggs[days.index(name.first_day) : days.index(name.end_day)].sum())

    trial = 100_000
    trades_per_day = round(rows / of(trial) * trial)
    return Dataset(seed=SEED, trades_per_day=trades_per_day), of(trades_per_day)


def candles_file(folder: Path, n_candles: int) -> Path:
    """Make the candles below `folder`, or find them there."""
    path = folder / f"candles-{n_candles}.npz"
    if not path.exists():
        np.savez(path, **candles(n_candles))
    return path


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
