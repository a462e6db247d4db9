"""Tasks of the signals stage: features of one symbol and a batch of parameter sets in, changes of masks out."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from services.signals.domain.decisions import Decisions
from services.signals.domain.rules import Rules
from services.signals.kernels.masks import Changes
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.contracts.signals import LONG_ENTRY, SHORT_ENTRY
from tickloom.errors import CorruptFile
from tickloom.kernel import F64, I64
from tickloom.lake import Lake, floats
from tickloom.rules.binding import PREVIOUS, Combination

STAGE = "signals"
Deciders = Rules | Decisions
"""What says at each close what to do: a request's rules, or its strategy."""

SCHEMA = pa.schema([("combo", pa.int32()), ("bar", pa.int64()), ("ts", pa.int64()), ("mask", pa.int8())])
"""A row per change of a mask: it is in force from `bar` on, which closes at `ts`; before its first row it is 0."""


def make_batch(
    lake: Lake,
    key: str,
    symbol: str,
    features: FileEntry,
    rules: Deciders,
    first: int,
    grid: Sequence[Combination],
) -> Part:
    """Evaluate the parameter sets `first`, `first` + 1, ... over one symbol's features, and keep the part."""
    columns, ts_close = _read(lake, features, rules, grid)
    changes = rules.changes(grid, columns, ts_close.size)
    table = _table(first, changes, ts_close)
    facts = {
        "symbol": symbol,
        "first_combo": first,
        "n_combos": len(grid),
        "n_bars": int(ts_close.size),
        "n_without_entry": sum(not (mask & (LONG_ENTRY | SHORT_ENTRY)).any() for _, mask in changes),
    }
    entry = lake.add_table(f"{symbol}/{first}-{first + len(grid) - 1}.parquet", table, facts=facts)
    return lake.put_part(STAGE, key, Part(files=(entry,)))


def _read(
    lake: Lake, features: FileEntry, rules: Deciders, grid: Sequence[Combination]
) -> tuple[Mapping[str, F64], I64]:
    """Return the columns that the rules read, (n_bars,) each, and the time of each close."""
    known = numeric_columns(lake, features)
    wanted = {n if n in known else n.removeprefix(PREVIOUS) for n in rules.columns(grid, known)}
    table = lake.read_table(features, sorted({*wanted, "ts_close"}))
    return {name: floats(table[name]) for name in sorted(wanted)}, np.asarray(table["ts_close"].to_numpy(), np.int64)


def numeric_columns(lake: Lake, features: FileEntry) -> list[str]:
    """Return the names of the columns that a rule may read."""
    source = lake.path(features) or BytesIO(lake.read_bytes(features))
    try:
        schema = pq.read_schema(source)
    except (OSError, pa.ArrowInvalid) as error:
        raise CorruptFile(features.name, str(error)) from error
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return [field.name for field in schema if any(is_kind(field.type) for is_kind in numeric)]


def _table(first: int, changes: Sequence[Changes], ts_close: I64) -> pa.Table:
    sizes = [each.bar.size for each in changes]
    combo = np.repeat(np.arange(first, first + len(changes), dtype=np.int32), sizes)
    bar, mask = (np.concatenate(columns) for columns in zip(*changes, strict=True))
    return pa.table([combo, bar, ts_close[bar], mask], schema=SCHEMA)
