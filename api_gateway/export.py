"""Tables for other programs. Decimals keep their digits; in CSV no cell can start a formula."""

from io import BytesIO

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

FORMULA = r"^([=+\-@\t\r])"


def parquet(table: pa.Table) -> bytes:
    """Return the table as Parquet."""
    sink = BytesIO()
    pq.write_table(table, sink, compression="zstd", store_decimal_as_integer=True)
    return sink.getvalue()


def csv(table: pa.Table) -> bytes:
    """Return the table as CSV; text that a spreadsheet would run as a formula gets a leading quote mark."""
    columns = []
    for column in table.columns:
        if pa.types.is_string(column.type):
            column = pc.replace_substring_regex(column, FORMULA, r"'\1")
        elif pa.types.is_decimal(column.type):
            column = column.cast(pa.decimal128(38, column.type.scale))
        columns.append(column)
    sink = BytesIO()
    pacsv.write_csv(pa.table(columns, names=table.column_names), sink)
    return sink.getvalue()


def json(table: pa.Table) -> bytes:
    """Return the table as a JSON array of objects: decimals as text, NaN and infinities as null."""
    return orjson.dumps(table.to_pylist(), default=str, option=orjson.OPT_NON_STR_KEYS)
