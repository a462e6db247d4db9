"""The lake: content-addressed artifacts in a folder or on S3, each visible only through its manifest."""

from tickloom.lake.lake import Lake, open_lake
from tickloom.lake.tables import decimals, floats, read_table, rescale, units, write_table

__all__ = ["Lake", "decimals", "floats", "open_lake", "read_table", "rescale", "units", "write_table"]
