"""With pyarrow, as its users write it: csv.open_csv over the stream of the zip, ParquetWriter, zstd."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

COLUMNS = ["id", "price", "quantity", "first_id", "last_id", "ts", "maker", "best"]
TYPES = [pa.int64(), pa.float64(), pa.float64(), pa.int64(), pa.int64(), pa.int64(), pa.bool_()]
_file = ""


def versions() -> dict[str, str]:
    """Return the versions that matter here."""
    return {"pyarrow": pa.__version__}


def ingest(archive: str, folder: str, symbol: str) -> None:  # noqa: ARG001
    """Stream a zipped CSV into one Parquet file: float64, zstd. Nothing is checked."""
    global _file
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    _file = f"{folder}/trades.parquet"
    types = dict(zip(COLUMNS, TYPES, strict=False))
    options = csv.ConvertOptions(column_types=types, include_columns=list(types))
    with zipfile.ZipFile(archive) as zipped, zipped.open(zipped.namelist()[0]) as text:
        reading = csv.ReadOptions(column_names=COLUMNS)
        reader = csv.open_csv(text, read_options=reading, convert_options=options)
        with reader, pq.ParquetWriter(_file, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)


def ingested() -> dict[str, Any]:
    """Return what the last ingest stored, read back."""
    table = pq.read_table(_file)
    sums = {name: pc.sum(table[name]).as_py() for name in ("id", "price", "quantity", "maker")}
    sums["ts"] = int((table["ts"].to_numpy() % 86_400_000).sum())
    return {"rows": table.num_rows, **sums, "bytes": Path(_file).stat().st_size}
