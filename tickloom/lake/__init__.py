"""The lake: content-addressed artifacts in a folder or on S3, each visible only through its manifest."""

from tickloom.lake.lake import Lake, open_lake
from tickloom.lake.tables import (
    BYTES,
    DELTA,
    ROW_GROUP,
    STEPS,
    WORDS,
    Packing,
    check_table,
    decimals,
    floats,
    in_microseconds,
    integers,
    read_table,
    rescale,
    table_writer,
    times,
    units,
    write_table,
)

__all__ = [
    "BYTES",
    "DELTA",
    "ROW_GROUP",
    "STEPS",
    "WORDS",
    "Lake",
    "Packing",
    "check_table",
    "decimals",
    "floats",
    "in_microseconds",
    "integers",
    "open_lake",
    "read_table",
    "rescale",
    "table_writer",
    "times",
    "units",
    "write_table",
]
