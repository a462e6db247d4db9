"""Partitions of trades beside one another: which ids one has and the other lacks, and whose rows differ."""

from collections.abc import Sequence
from io import BytesIO
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from services.download.domain.corrections import Difference, in_both, unequal
from services.download.domain.voids import between
from tickloom.contracts.artifact import FileEntry
from tickloom.kernel import I64
from tickloom.lake import Lake, read_table, units

_DECIMALS: Final = ("price", "quantity")
_NUMBERS: Final = ("ts", "is_buyer_maker", "first_id", "last_id")


def compare(lake: Lake, monthly: FileEntry, daily: FileEntry) -> Difference:
    """Compare two partitions of one day row by row, by id. Exact; holds one column of each at a time."""
    if monthly.sha256 == daily.sha256:
        return Difference(0, 0, 0)
    left, right = lake.read_bytes(monthly), lake.read_bytes(daily)
    left_ids, right_ids = _whole(left, "trade_id"), _whole(right, "trade_id")
    here, there = in_both(left_ids, right_ids)
    differs = np.zeros(here.size, np.bool_)
    for name in _DECIMALS:
        (a, a_scale), (b, b_scale) = (units(read_table(data, [name])[name]) for data in (left, right))
        differs |= unequal(a[here], a_scale, b[there], b_scale)
    columns = pq.read_schema(BytesIO(left)).names
    for name in (name for name in _NUMBERS if name in columns):
        differs |= _whole(left, name)[here] != _whole(right, name)[there]
    return Difference(left_ids.size - here.size, right_ids.size - here.size, int(differs.sum()))


def holes(lake: Lake, entry: FileEntry, beside: Sequence[FileEntry], voids: I64) -> list[tuple[int, int]]:
    """Return the ids before and after each hole in a partition's ids, in order.

    beside  partitions of the days around whose ids may lie among this one's
    voids   ids of void rows, increasing: they are no holes
    """
    ids = ids_in(lake, entry)
    first, last = ids[0], ids[-1]
    for other in beside:
        ids = np.union1d(ids, between(ids_in(lake, other), first, last))
    ids = np.union1d(ids, between(voids, first, last))
    where = np.flatnonzero(np.diff(ids) > 1)
    return list(zip(ids[where].tolist(), ids[where + 1].tolist(), strict=True))


def on_both(lake: Lake, one: FileEntry, other: FileEntry) -> tuple[int, int]:
    """Return how many ids are in both of two partitions, and the first of them, or -1."""
    left, right = ids_in(lake, one), ids_in(lake, other)
    here, _ = in_both(left, right)
    return here.size, int(left[here[0]]) if here.size else -1


def ids_in(lake: Lake, entry: FileEntry) -> I64:
    """Return the ids of a partition's trades, (n,), increasing."""
    return _whole(lake.read_bytes(entry), "trade_id")


def _whole(data: bytes, name: str) -> I64:
    return np.asarray(read_table(data, [name])[name].to_numpy(), np.int64)
