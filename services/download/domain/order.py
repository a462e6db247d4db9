"""Rows in the order of their key, each key once."""

import numpy as np

from services.download.domain.errors import ConflictingRows
from tickloom.kernel import I64


def in_order(name: str, rows: I64, slot: int) -> tuple[I64, dict[str, int]]:
    """Return the rows by increasing key, each once, and how many were out of order and how many came twice.

    rows  (n, width)  the key is rows[:, slot]

    Raises ConflictingRows when two rows of one key differ. Equal rows are one row that came twice.
    """
    keys = rows[:, slot]
    out_of_order = int((np.diff(keys) < 0).sum())
    if out_of_order:
        rows = rows[np.argsort(keys, kind="stable")]
        keys = rows[:, slot]
    again = np.flatnonzero(np.diff(keys) == 0) + 1
    if again.size:
        different = (rows[again] != rows[again - 1]).any(axis=1)
        if different.any():
            raise ConflictingRows(name, int(keys[again[np.argmax(different)]]))
        rows = np.delete(rows, again, axis=0)
    return rows, {"out_of_order": out_of_order, "duplicates_dropped": int(again.size)}
