"""With Polars, as its users write it: unzip, scan_csv, sink_parquet; group_by(cum_sum // threshold)."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import polars as pl

COLUMNS = ["id", "price", "quantity", "first_id", "last_id", "ts", "maker", "best"]
TYPES = (pl.Int64, pl.Float64, pl.Float64, pl.Int64, pl.Int64, pl.Int64, pl.String, pl.String)
USED = ["id", "price", "quantity", "ts", "maker"]
_file = ""
_trades = pl.DataFrame()


def versions() -> dict[str, str]:
    """Return the versions that matter here."""
    return {"polars": f"{pl.__version__} ({pl.thread_pool_size()} threads)"}


def ingest(archive: str, folder: str, symbol: str) -> None:  # noqa: ARG001
    """Unzip a CSV and stream it into one Parquet file: float64, zstd. Nothing is checked."""
    global _file
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    _file = f"{folder}/trades.parquet"
    with zipfile.ZipFile(archive) as zipped:
        text = zipped.extract(zipped.namelist()[0], folder)
    schema = dict(zip(COLUMNS, TYPES, strict=True))
    frame = pl.scan_csv(text, has_header=False, schema=schema).drop("best")
    # Polars reads `true` as a boolean, and the archives of the spot market write `True`.
    frame.with_columns(pl.col("maker") == "True").sink_parquet(_file, compression="zstd")
    Path(text).unlink()


def ingested() -> dict[str, Any]:
    """Return what the last ingest stored, read back."""
    frame = pl.read_parquet(_file)
    sums: dict[str, Any] = frame.with_columns(pl.col("ts") % 86_400_000).select(pl.col(*USED).sum()).row(0, named=True)
    return {"rows": frame.height, **sums, "bytes": Path(_file).stat().st_size}


def load() -> None:
    """Keep all trades in memory for bars_in_memory."""
    global _trades
    _trades = pl.read_parquet(_file).rechunk()


def _number(spec: dict[str, Any]) -> pl.Expr:
    """Return the bar of each trade."""
    if spec["kind"] == "tick":
        return pl.int_range(pl.len()) // spec["threshold"]
    value = pl.col("quantity") if spec["kind"] == "volume" else pl.col("notional")
    return (value.cum_sum() // float(spec["threshold"])).cast(pl.Int64)


def _bars(trades: pl.LazyFrame, spec: dict[str, Any]) -> dict[str, Any]:
    bought = ~pl.col("maker")
    bars = (
        trades.with_columns(notional=pl.col("price") * pl.col("quantity"))
        .with_columns(bar=_number(spec).set_sorted())
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
    names = ("open", "high", "low", "close", "volume", "notional", "n_trades", "buy_volume")
    return {"n_bars": bars.height, **{name: float(bars[name].sum()) for name in names}}


def bars_in_memory(spec: dict[str, Any]) -> dict[str, Any]:
    """Build bars of the trades in memory."""
    return _bars(_trades.lazy(), spec)


def bars_from_parquet(specs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Build bars by each spec from the Parquet file that Polars wrote; where there are several, it is read once."""
    trades = pl.scan_parquet(_file).select(USED)
    if len(specs) > 1:
        trades = trades.collect().lazy()
    return [_bars(trades, spec) for spec in specs]
