"""The same with pandas, as its users write it: read_csv of the zip, groupby(cumsum // threshold)."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

COLUMNS = ["id", "price", "quantity", "notional", "ts", "is_buyer_maker", "is_best_match"]
_folder = ""
_trades = pd.DataFrame()


def versions() -> dict[str, str]:
    """Return the versions that matter here."""
    return {"pandas": pd.__version__}


def ingest(archive: str, folder: str, symbol: str) -> None:  # noqa: ARG001
    """Read a zipped CSV into a Parquet file per day: float64, zstd. Nothing is checked."""
    global _folder
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    frame = pd.read_csv(
        archive, header=None, names=COLUMNS, usecols=["id", "price", "quantity", "ts", "is_buyer_maker"]
    )
    for day, rows in frame.groupby(frame["ts"] // 86_400_000, sort=False):
        rows.to_parquet(f"{folder}/{day}.parquet", compression="zstd", index=False)
    _folder = folder


def ingested() -> dict[str, Any]:
    """Return what the last ingest stored, read back."""
    frame = pd.read_parquet(_folder)
    return {
        "rows": len(frame),
        "ids": [int(frame["id"].min()), int(frame["id"].max())],
        "quantity": float(frame["quantity"].sum()),
        "bytes": sum(path.stat().st_size for path in Path(_folder).iterdir()),
    }


def load() -> float:
    """Keep all trades in memory for bars_in_memory; return their notional in quote currency."""
    global _trades
    _trades = pd.read_parquet(_folder).sort_values("id", ignore_index=True)
    return float((_trades["price"] * _trades["quantity"]).sum())


def _bars(trades: pd.DataFrame, threshold: float) -> dict[str, Any]:
    notional = trades["price"] * trades["quantity"]
    bought = ~trades["is_buyer_maker"]
    trades = trades.assign(
        notional=notional,
        buy_volume=trades["quantity"].where(bought, 0.0),
        buy_notional=notional.where(bought, 0.0),
    )
    bars = trades.groupby((notional.cumsum() // threshold).astype("int64"), sort=False).agg(
        ts_open=("ts", "first"),
        ts_close=("ts", "last"),
        first_id=("id", "first"),
        last_id=("id", "last"),
        open=("price", "first"),
        high=("price", "max"),
        low=("price", "min"),
        close=("price", "last"),
        volume=("quantity", "sum"),
        notional=("notional", "sum"),
        n_trades=("price", "size"),
        buy_volume=("buy_volume", "sum"),
        buy_notional=("buy_notional", "sum"),
    )
    return {"n_bars": len(bars), "volume": float(bars["volume"].sum())}


def bars_in_memory(threshold: float) -> dict[str, Any]:
    """Build dollar bars of trades in memory."""
    return _bars(_trades, threshold)


def bars_from_parquet(threshold: float) -> dict[str, Any]:
    """Build dollar bars from the Parquet files that pandas wrote."""
    files = sorted(Path(_folder).iterdir())
    return _bars(pd.concat([pd.read_parquet(file) for file in files], ignore_index=True), threshold)
