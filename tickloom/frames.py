"""Published tables as pandas frames."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def frame_of(data: bytes) -> "pd.DataFrame":
    """Return a Parquet file as a frame: decimals as the nearest floats, times as UTC, indexed by `ts` or `ts_close`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    for i, field in enumerate(table.schema):
        column = table[field.name]
        if pa.types.is_decimal(field.type):
            # By way of its text: a cast of its own would not be the nearest, 41537.24 becomes 41537.240000000005
            column = column.cast(pa.decimal128(38, field.type.scale)).cast(pa.string()).cast(pa.float64())
        elif pa.types.is_int64(field.type) and "ts" in field.name.split("_"):
            column = column.cast(pa.timestamp("us", tz="UTC"))
        table = table.set_column(i, field.name, column)
    frame: pd.DataFrame = table.to_pandas()
    index = next((name for name in ("ts", "ts_close") if name in frame), None)
    return frame.set_index(index) if index else frame
