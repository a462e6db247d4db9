"""The lake: content-addressed artifacts in a folder or on S3, each visible only through its manifest."""

from tickloom.lake.lake import Lake, open_lake
from tickloom.lake.tables import (
    ROW_GROUP,
    check_table,
    decimals,
    floats,
    read_table,
    rescale,
    table_writer,
    units,
    write_table,
)

__all__ = [
    "ROW_GROUP",
    "Lake",
    "check_table",
    "decimals",
    "floats",
    "open_lake",
    "read_table",
    "rescale",
    "table_writer",
    "units",
    "write_table",
]
