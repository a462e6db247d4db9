"""The work of one symbol: its bars come in from the lake, the same bars with feature columns go out to it."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from services.features.domain.catalogue import INPUTS, compute
from services.features.domain.errors import BarsIncomplete
from services.features.domain.order import check_order
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.contracts.features import FeaturesRequest
from tickloom.lake import Lake, floats

STAGE = "features"


def with_features(symbol: str, bars: pa.Table, request: FeaturesRequest) -> tuple[pa.Table, dict[str, dict[str, int]]]:
    """Return the bars with a column for each feature, and `warmup` and `settled` rows by column name.

    bars  float64 `high low close volume`, int64 `ts_close`, and whatever else, which stays as it is

    A feature without a value is null, not NaN, so that SQL, CSV and JSON know it as missing.
    Raises BarsIncomplete and BarsOutOfOrder.
    """
    missing = [name for name in ("ts_close", *INPUTS) if name not in bars.column_names]
    if missing:
        raise BarsIncomplete(symbol, missing)
    check_order(symbol, bars["ts_close"].to_numpy())
    features = compute({name: floats(bars[name]) for name in INPUTS}, request.features)
    columns = {name: bars[name] for name in bars.column_names}
    columns |= {column.name: pa.array(column.values, mask=np.isnan(column.values)) for column in features}
    lengths = {
        "warmup": {column.name: column.warmup for column in features},
        "settled": {column.name: column.settled for column in features},
    }
    return pa.table(columns), lengths


def as_floats(bars: pa.Table) -> pa.Table:
    """Return the table with each decimal column as float64, to the nearest double."""
    columns = {name: bars[name] for name in bars.column_names}
    return pa.table({name: floats(c) if pa.types.is_decimal(c.type) else c for name, c in columns.items()})


def make_symbol(lake: Lake, key: str, symbol: str, entries: Sequence[FileEntry], request: FeaturesRequest) -> Part:
    """Write one symbol's features and keep them under `key`. Plain Python, so tests need no Ray."""
    # One chunk, or the bytes written would tell into how many files the bars were cut.
    bars = pa.concat_tables([as_floats(lake.read_table(entry)) for entry in entries]).combine_chunks()
    table, lengths = with_features(symbol, bars, request)
    entry = lake.add_table(f"{symbol}.parquet", table, facts={"symbol": symbol, **lengths})
    return lake.put_part(STAGE, key, Part(files=(entry,)))
