"""Tables in the lake: Parquet with page checksums, exact decimals kept as scaled 64-bit integers.

A decimal column is Parquet DECIMAL(18, scale) over INT64: other programs read exact decimals, we read the integers
behind them without a copy. Equal tables have equal bytes.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tickloom.errors import CorruptFile, ExactnessLost
from tickloom.kernel import F64, I64

DIGITS = 18
ROW_GROUP = 1 << 20
_EXACT = 1 << 53
_I64_MAX = (1 << 63) - 1


def decimals(units: I64, scale: int) -> pa.Array:
    """Return integers as an exact decimal column: 12345 with scale 2 is 123.45. No copy.

    Raises ExactnessLost when a value has more than 18 digits.
    """
    units = np.ascontiguousarray(units, np.int64)
    if units.size and (units.max() >= 10**DIGITS or units.min() <= -(10**DIGITS)):
        raise ExactnessLost("a decimal", f"it has more than {DIGITS} digits")
    return pa.Array.from_buffers(pa.decimal64(DIGITS, scale), units.size, [None, pa.py_buffer(units)])


def units(column: pa.ChunkedArray | pa.Array) -> tuple[I64, int]:
    """Return (integers, scale) of a decimal column, (n_rows,), read-only; no copy where it is one chunk.

    Raises TypeError for another kind of column, ValueError for one with nulls: no integer stands for them.
    """
    if not pa.types.is_decimal64(column.type):
        raise TypeError(f"a decimal64 column holds exact numbers, this one is {column.type}")
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if array.null_count:
        raise ValueError("an exact column has no nulls")
    buffer = array.buffers()[1]
    scale = int(array.type.scale)
    if len(array) == 0:
        return np.empty(0, np.int64), scale
    values = np.frombuffer(buffer, np.int64, len(array), array.offset * 8)
    values.flags.writeable = False
    return values, scale


def rescale(values: I64, scale: int, wanted: int) -> I64:
    """Return the same numbers counted in 10**-wanted. Raises ExactnessLost rather than round or overflow."""
    if wanted == scale or not values.size:
        return values
    factor = 10 ** abs(wanted - scale)
    low, high = int(values.min()), int(values.max())  # as Python's integers: no overflow, not even by abs()
    if wanted > scale:
        if max(high, -low) * factor > _I64_MAX:
            raise ExactnessLost("a decimal", f"rescaled from {scale} to {wanted} places")
        return values * np.int64(factor) if factor <= _I64_MAX else values  # all zero
    if factor > _I64_MAX:
        if low or high:
            raise ExactnessLost("a decimal", f"it has more than {wanted} places")
        return values
    if (values % np.int64(factor)).any():
        raise ExactnessLost("a decimal", f"it has more than {wanted} places")
    return values // np.int64(factor)


def floats(column: pa.ChunkedArray | pa.Array) -> F64:
    """Return a column as float64, (n_rows,): each decimal as the double nearest to it, a null as NaN."""
    if not pa.types.is_decimal64(column.type):
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        return np.asarray(array.to_numpy(zero_copy_only=False), np.float64)
    values, scale = units(column)
    # Both operands are exact in a double up to 2**53 and 10**22, so the quotient is correctly rounded.
    quotients: F64 = values / np.float64(10**scale)
    for i in np.flatnonzero((values > _EXACT) | (values < -_EXACT)):
        quotients[i] = int(values[i]) / 10**scale  # Python divides its integers correctly rounded, whatever their size
    return quotients


def write_table(table: pa.Table, path: Path, *, delta: Sequence[str] | None = None) -> None:
    """Write `table` to `path`. `delta` names the columns to delta-pack; None packs all integers and decimals.

    Its bytes depend on its columns alone: not on how they are cut into chunks, nor on notes such as pandas leaves.
    """
    table = table.combine_chunks().replace_schema_metadata(None)
    with table_writer(path, table.schema, delta=delta) as writer:
        writer.write_table(table, ROW_GROUP)


def table_writer(path: Path, schema: pa.Schema, *, delta: Sequence[str] | None = None) -> pq.ParquetWriter:
    """Return a writer of tables as write_table writes them, for one that comes in pieces.

    Pieces of ROW_GROUP rows, each written with that row_group_size and the last one shorter, make the same bytes.
    """
    if delta is None:
        delta = [f.name for f in schema if pa.types.is_integer(f.type) or pa.types.is_decimal(f.type)]
        delta = [name for name in delta if schema.field(name).type.bit_width >= 32]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=[f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_boolean(f.type)],
        column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
        store_decimal_as_integer=True,
        write_page_checksum=True,
        write_statistics=True,
    )


def check_table(path: Path, name: str, schema: pa.Schema, rows: int) -> None:
    """Open a table that was just written and compare its footer: raises CorruptFile. Its pages are not decoded."""
    try:
        with pq.ParquetFile(path) as file:
            found, columns = file.metadata.num_rows, file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise CorruptFile(name, str(error)) from error
    if found != rows or not columns.equals(schema):
        raise CorruptFile(name, "it reads back with another number of rows, or other columns")


def read_table(source: Path | bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table, or the columns named, in that order; page checksums are verified. Raises CorruptFile."""
    name = source.name if isinstance(source, Path) else "a table"
    try:
        with pq.ParquetFile(
            source if isinstance(source, Path) else BytesIO(source), page_checksum_verification=True, memory_map=False
        ) as file:
            table = file.read(columns=list(columns) if columns is not None else None, use_threads=False)
    except MemoryError:
        raise
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise CorruptFile(name, str(error)) from error
    if columns is None:
        return table
    if missing := [column for column in columns if column not in table.column_names]:
        raise CorruptFile(name, f"it has no column {', '.join(missing)}")
    return table.select(list(columns))
