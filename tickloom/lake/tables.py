"""Tables in the lake: Parquet with page checksums, exact decimals kept as scaled 64-bit integers.

A decimal column is Parquet DECIMAL(18, scale) over INT64: other programs read exact decimals, we read the integers
behind them without a copy. A time is an int64 in microseconds UTC wherever we compute; a file may keep it as TIMESTAMP,
in milliseconds where all are whole ones, and is read back as microseconds. Equal tables have equal bytes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tickloom.errors import CorruptFile, ExactnessLost
from tickloom.kernel import F64, I8, I64

DIGITS = 18
ROW_GROUP = 1 << 19  # rows that a writer holds: at 2**20 a worker reading a dense day needs 40 MB more
PAGE_BYTES = ROW_GROUP * 8
"""A column of a row group is one page, where pyarrow would make one of every 20,000 rows.

A codec takes 128 KiB at a time. In a long page each of its blocks holds bytes of one kind, in a short one of several:
quantities are a tenth smaller, and all is read and written faster.
"""
_EXACT = 1 << 53
_I64_MAX = (1 << 63) - 1
MILLISECOND_US: Final = 1000


class Packing(NamedTuple):
    """How the values of a column become pages. Any Parquet reader understands all of these."""

    encoding: str = "PLAIN"
    codec: str = "zstd"
    statistics: bool = True  # least and greatest by row group, for readers that skip by them


DELTA: Final = Packing("DELTA_BINARY_PACKED")
"""Integers that grow by steps which recur: ids, times."""

STEPS: Final = Packing("DELTA_BINARY_PACKED", "none")
"""Integers with small steps that do not: packed steps leave a codec nothing to find."""

BYTES: Final = Packing("BYTE_STREAM_SPLIT")
"""Integers of like size and no order: their high bytes are alike, and come side by side."""

PLAIN: Final = Packing()
"""Booleans, of which a codec finds the runs, and floats."""

WORDS: Final = Packing("RLE_DICTIONARY")
"""Few different values: a bit or two each."""

_IMPLIED: Final = (WORDS.encoding, PLAIN.encoding)


def integers(values: I64 | I8) -> pa.Array:
    """Return integers as a column of their own width, (n_rows,). No copy: they must not change while it is in use.

    `pa.array` would ask whether they are a series of pandas, and import all of pandas for the answer.
    """
    return _column(values, pa.from_numpy_dtype(values.dtype))


def _column(values: I64 | I8, kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, values.size, [None, pa.py_buffer(np.ascontiguousarray(values))])


def decimals(units: I64, scale: int) -> pa.Array:
    """Return integers as an exact decimal column: 12345 with scale 2 is 123.45. No copy.

    Raises ExactnessLost when a value has more than 18 digits.
    """
    units = np.ascontiguousarray(units, np.int64)
    if units.size and (units.max() >= 10**DIGITS or units.min() <= -(10**DIGITS)):
        raise ExactnessLost("a decimal", f"it has more than {DIGITS} digits")
    return _column(units, pa.decimal64(DIGITS, scale))


def units(column: pa.ChunkedArray | pa.Array) -> tuple[I64, int]:
    """Return (integers, scale) of a decimal column, (n_rows,), read-only; no copy where it is one chunk.

    Raises TypeError for another kind of column, ValueError for one with nulls: no integer stands for them.
    """
    if not pa.types.is_decimal64(column.type):
        raise TypeError(f"a decimal64 column holds exact numbers, this one is {column.type}")
    array = _one_array(column)
    if array.null_count:
        raise ValueError("an exact column has no nulls")
    buffer = array.buffers()[1]
    scale = int(array.type.scale)
    if len(array) == 0:
        return np.empty(0, np.int64), scale
    values = np.frombuffer(buffer, np.int64, len(array), array.offset * 8)
    values.flags.writeable = False
    return values, scale


def _one_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a column as one array, without a copy where it is one chunk."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def flags(values: I8) -> pa.Array:
    """Return a column of booleans (n_rows,): true for 1, false for 0."""
    packed = np.packbits(values.view(np.uint8), bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), values.size, [None, pa.py_buffer(packed)])


def aggressor_sides(is_buyer_maker: pa.ChunkedArray | pa.Array) -> I8:
    """Return -1 where the seller was the aggressor (true), +1 where the buyer was, (n_rows,).

    Raises ValueError for nulls: such a trade would have no aggressor.
    """
    array = _one_array(is_buyer_maker)
    if array.null_count:
        raise ValueError("a column of flags has no nulls")
    if len(array) == 0:
        return np.empty(0, np.int8)
    bits = np.frombuffer(array.buffers()[1], np.uint8)
    true = np.unpackbits(bits, count=array.offset + len(array), bitorder="little")[array.offset :].view(np.int8)
    return 1 - 2 * true


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


def times(microseconds: I64, *, milliseconds: bool) -> pa.Array:
    """Return times (n,) as a column of timestamps in UTC; those in `milliseconds` must all be whole ones. No check."""
    if milliseconds:
        return _column(microseconds // MILLISECOND_US, pa.timestamp("ms", tz="UTC"))
    return _column(microseconds, pa.timestamp("us", tz="UTC"))


def in_microseconds(table: pa.Table) -> pa.Table:
    """Return a table with each column of timestamps, as `times` makes them, as int64 microseconds."""
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            values = table.column(i).cast(pa.int64())
            if field.type.unit == "ms":  # a cast would do it, and take twice as long to look for what overflows
                values = integers(values.to_numpy() * np.int64(MILLISECOND_US))
            table = table.set_column(i, field.with_type(pa.int64()), values)
    return table


def write_table(table: pa.Table, path: Path) -> None:
    """Write `table` to `path`.

    Its bytes depend on its columns alone: not on how they are cut into chunks, nor on notes such as pandas leaves.
    """
    table = table.combine_chunks().replace_schema_metadata(None)
    with table_writer(path, table.schema) as writer:
        writer.write_table(table, ROW_GROUP)


def table_writer(path: Path, schema: pa.Schema, packing: Mapping[str, Packing] | None = None) -> pq.ParquetWriter:
    """Return a writer of tables as write_table writes them, for one that comes in pieces.

    Pieces of ROW_GROUP rows, each written with that row_group_size and the last one shorter, make the same bytes.
    `packing` is by column; without one, integers and decimals go by their steps, texts by a dictionary.
    """
    packed = {field.name: (packing or {}).get(field.name, _packing_of(field.type)) for field in schema}
    words = [name for name, how in packed.items() if how.encoding == WORDS.encoding]
    return pq.ParquetWriter(
        path,
        schema,
        compression={name: how.codec for name, how in packed.items()},
        use_dictionary=words,
        column_encoding={name: how.encoding for name, how in packed.items() if how.encoding not in _IMPLIED},
        store_decimal_as_integer=True,
        max_rows_per_page=ROW_GROUP,
        data_page_size=PAGE_BYTES,
        write_page_checksum=True,
        write_statistics=[name for name, how in packed.items() if how.statistics],
    )


def _packing_of(kind: pa.DataType) -> Packing:
    if pa.types.is_string(kind):
        return WORDS
    exact = pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    return DELTA if exact and kind.bit_width >= 32 else PLAIN


def check_table(path: Path, name: str, schema: pa.Schema, rows: int) -> None:
    """Open a table that was just written and compare its footer: raises CorruptFile. Its pages are not decoded."""
    try:
        with pq.ParquetFile(path) as file:
            found, columns = file.metadata.num_rows, file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise CorruptFile(name, str(error)) from error
    if found != rows or not columns.equals(schema):
        raise CorruptFile(name, "it reads back with another number of rows, or other columns")


def read_table(
    source: Path | bytes,
    columns: Sequence[str] | None = None,
    *,
    verified: bool = False,
    threads: bool = False,
    rows: range | None = None,
) -> pa.Table:
    """Read a table, or the columns named, in that order; page checksums are verified. Raises CorruptFile.

    `verified` bytes have been compared with their SHA-256, which leaves page checksums nothing to find. `threads`
    decodes columns side by side. Of `rows`, which must not be empty, no more row groups are decoded than hold them.
    """
    name = source.name if isinstance(source, Path) else "a table"
    try:
        with pq.ParquetFile(
            source if isinstance(source, Path) else pa.BufferReader(source),
            page_checksum_verification=not verified,
            memory_map=False,
        ) as file:
            names = list(columns) if columns is not None else None
            table = file.read(names, use_threads=threads) if rows is None else _rows(file, names, rows, threads=threads)
    except MemoryError:
        raise
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise CorruptFile(name, str(error)) from error
    table = in_microseconds(table)
    if columns is None:
        return table
    if missing := [column for column in columns if column not in table.column_names]:
        raise CorruptFile(name, f"it has no column {', '.join(missing)}")
    return table.select(list(columns))


def _rows(file: pq.ParquetFile, names: list[str] | None, rows: range, *, threads: bool) -> pa.Table:
    """Return rows of an open table, from the row groups that hold them."""
    ends = np.cumsum([file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)])
    first, last = np.searchsorted(ends, [rows.start, rows.stop - 1], "right").tolist()
    before = int(ends[first - 1]) if first else 0
    groups = list(range(first, min(last + 1, ends.size)))
    return file.read_row_groups(groups, names, use_threads=threads).slice(rows.start - before, len(rows))
