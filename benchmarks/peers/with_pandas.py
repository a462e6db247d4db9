"""With pandas, as its users write it: read_csv of the zip, groupby(cumsum // threshold)."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

COLUMNS = ["id", "price", "quantity", "first_id", "last_id", "ts", "maker", "best"]
_file = ""
_trades = pd.DataFrame()


def versions() -> dict[str, str]:
    """Return the versions that matter here."""
    return {"pandas": pd.__version__}


def ingest(archive: str, folder: str, symbol: str) -> None:  # noqa: ARG001
    """Read a zipped CSV into one Parquet file: float64 and the default compression. Nothing is checked."""
    global _file
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    _file = f"{folder}/trades.parquet"
    pd.read_csv(archive, header=None, names=COLUMNS, usecols=COLUMNS[:-1]).to_parquet(_file, index=False)


def ingested() -> dict[str, Any]:
    """Return what the last ingest stored, read back."""
    frame = pd.read_parquet(_file)
    sums = {name: float(frame[name].sum()) for name in ("price", "quantity")}
    sums |= {name: int(frame[name].sum()) for name in ("id", "maker")}
    sums["ts"] = int((frame["ts"] % 86_400_000).sum())
    return {"rows": len(frame), **sums, "bytes": Path(_file).stat().st_size}


def load() -> None:
    """Keep all trades in memory for bars_in_memory."""
    global _trades
    _trades = pd.read_parquet(_file)


def _number(trades: pd.DataFrame, spec: dict[str, Any]) -> pd.Series:
    """Return the bar of each trade."""
    if spec["kind"] == "tick":
        return pd.Series(range(len(trades)), index=trades.index) // spec["threshold"]
    value = trades["quantity"] if spec["kind"] == "volume" else trades["price"] * trades["quantity"]
    return (value.cumsum() // float(spec["threshold"])).astype("int64")


def _bars(trades: pd.DataFrame, spec: dict[str, Any]) -> dict[str, Any]:
    bought = ~trades["maker"]
    notional = trades["price"] * trades["quantity"]
    number = _number(trades, spec)
    trades = trades.assign(
        notional=notional,
        buy_volume=trades["quantity"].where(bought, 0.0),
        buy_notional=notional.where(bought, 0.0),
    )
    bars = trades.groupby(number, sort=False).agg(
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
    names = ("open", "high", "low", "close", "volume", "notional", "n_trades", "buy_volume")
    return {"n_bars": len(bars), **{name: float(bars[name].sum()) for name in names}}


def bars_in_memory(spec: dict[str, Any]) -> dict[str, Any]:
    """Build bars of the trades in memory."""
    return _bars(_trades, spec)


def bars_from_parquet(specs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Build bars by each spec from the Parquet file that pandas wrote, read once."""
    trades = pd.read_parquet(_file, columns=["id", "price", "quantity", "ts", "maker"])
    return [_bars(trades, spec) for spec in specs]
