"""Text to lake: checked rows, exact decimals, day partitions, page checksums, SHA-256, quality record."""

import shutil
from pathlib import Path
from typing import Any

from services.download.adapters.archive import open_member
from services.download.adapters.ingest import Source
from services.download.adapters.ingest import ingest as ingest_text
from services.download.domain.archives import period_of
from services.download.domain.layouts import layout_of
from services.download.domain.quality import Quality
from tickloom.contracts.artifact import FileEntry
from tickloom.lake import Lake, units

_lake: Lake | None = None
_days: list[FileEntry] = []


def versions() -> dict[str, str]:
    """Return the versions that matter here."""
    from importlib.metadata import version

    return {name: version(name) for name in ("tickloom", "numba", "pyarrow", "numpy")}


def ingest(archive: str, folder: str, symbol: str) -> None:
    """Read a zipped CSV of aggregate trades into day partitions, as the download stage does with one it has fetched."""
    global _lake, _days
    shutil.rmtree(folder, ignore_errors=True)
    lake, path = Lake(folder), Path(archive)
    period = period_of(path.stem)
    assert period is not None
    source = Source(path.name, symbol, layout_of("spot", "aggTrades"), "", *period, path.stem)
    with lake.scratch() as scratch, open_member(path, path.name, f"{path.stem}.csv") as chunks:
        part = ingest_text(lake, scratch, source, chunks, Quality(path.name, "", "", path.stat().st_size))
    _lake, _days = lake, [entry for entry in part.files if entry.rows is not None]


def stored() -> tuple[Lake, list[FileEntry]]:
    """Return the lake and the partitions of the last ingest, in the order of their days."""
    assert _lake is not None
    return _lake, _days


def ingested() -> dict[str, Any]:
    """Return what the last ingest stored, read back."""
    import pyarrow.compute as pc  # not for ingest: a fresh process would pay for it

    lake, days = stored()
    found: dict[str, Any] = {"rows": 0, "id": 0, "ts": 0, "maker": 0, "price": 0.0, "quantity": 0.0}
    for entry in days:
        table = lake.read_table(entry)
        found["rows"] += table.num_rows
        found["id"] += pc.sum(table["trade_id"]).as_py()
        found["ts"] += int((table["ts"].to_numpy() // 1000 % 86_400_000).sum())
        found["maker"] += pc.sum(table["is_buyer_maker"]).as_py()
        for name in ("price", "quantity"):
            values, scale = units(table[name])
            found[name] += int(values.sum()) / 10**scale
    return {**found, "bytes": sum(entry.bytes for entry in days)}
