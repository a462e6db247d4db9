"""The same with Polars, as its users write it: read_csv of the unzipped bytes, group_by(cum_sum // threshold)."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import polars as pl

COLUMNS = ["id", "price", "quantity", "notional", "ts", "is_buyer_maker", "is_best_match"]
# Polars reads `true` as a boolean, and the archives of the spot market write `True`.
is_true = pl.col("is_buyer_maker").str.to_lowercase() == "true"
_folder = ""
_trades = pl.DataFrame()


def versions() -> dict[str, str]:
    """Return the versions that matter here."""
    return {"polars": f"{pl.__version__} ({pl.thread_pool_size()} threads)"}


def ingest(archive: str, folder: str, symbol: str) -> None:  # noqa: ARG001
    """Read a zipped CSV into a Parquet file per day: float64, zstd. Nothing is checked."""
    global _folder
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    with zipfile.ZipFile(archive) as zipped:
        text = zipped.read(zipped.namelist()[0])
    schema = dict(zip(COLUMNS, (pl.Int64, *[pl.Float64] * 3, pl.Int64, *[pl.String] * 2), strict=True))
    frame = (
        pl.scan_csv(text, has_header=False, schema=schema).select("id", "price", "quantity", "ts", is_true).collect()
    )
    for day, rows in frame.group_by(pl.col("ts") // 86_400_000, maintain_order=True):
        rows.write_parquet(f"{folder}/{day[0]}.parquet", compression="zstd")
    _folder = folder


def ingested() -> dict[str, Any]:
    """Return what the last ingest stored, read back."""
    frame = pl.read_parquet(f"{_folder}/*.parquet")
    return {
        "rows": frame.height,
        "ids": [int(frame["id"].min()), int(frame["id"].max())],  # type: ignore[arg-type]
        "quantity": float(frame["quantity"].sum()),
        "bytes": sum(path.stat().st_size for path in Path(_folder).iterdir()),
    }


def load() -> float:
    """Keep all trades in memory for bars_in_memory; return their notional in quote currency."""
    global _trades
    _trades = pl.read_parquet(f"{_folder}/*.parquet").sort("id").rechunk()
    return float((_trades["price"] * _trades["quantity"]).sum())


def _bars(trades: pl.LazyFrame, threshold: float) -> dict[str, Any]:
    notional, bought = pl.col("price") * pl.col("quantity"), ~pl.col("is_buyer_maker")
    bars = (
        trades.with_columns(notional=notional)
        .with_columns(bar=(pl.col("notional").cum_sum() // threshold).cast(pl.Int64).set_sorted())
        .group_by("bar", maintain_order=True)
        .agg(
            pl.col("ts").first().alias("ts_open"),
            pl.col("ts").last().alias("ts_close"),
            pl.col("id").first().alias("first_id"),
            pl.col("id").last().alias("last_id"),
            pl.col("price").first().alias("open"),
            pl.col("price").max().alias("high"),
            pl.col("price").min().alias("low"),
            pl.col("price").last().alias("close"),
            pl.col("quantity").sum().alias("volume"),
            pl.col("notional").sum(),
            pl.len().alias("n_trades"),
            pl.col("quantity").filter(bought).sum().alias("buy_volume"),
            pl.col("notional").filter(bought).sum().alias("buy_notional"),
        )
        .collect()
    )
    return {"n_bars": bars.height, "volume": float(bars["volume"].sum())}


def bars_in_memory(threshold: float) -> dict[str, Any]:
    """Build dollar bars of trades in memory."""
    return _bars(_trades.lazy(), threshold)


def bars_from_parquet(threshold: float) -> dict[str, Any]:
    """Build dollar bars from the Parquet files that Polars wrote."""
    return _bars(pl.scan_parquet(sorted(Path(_folder).iterdir())), threshold)
