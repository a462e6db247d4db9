"""Ids of void rows. The exchange voids a duplicate where it stands: its id stays taken, and no trade of it is missing.

Source: github.com/binance/binance-spot-api-docs, CHANGELOG, 2022-04-12.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from tickloom.kernel import I64

NONE: Final = np.empty(0, np.int64)


def runs_of(ids: I64) -> list[list[int]]:
    """Return increasing ids (n,) as runs of neighbours, each by its first and its last: as a record has them."""
    begins = np.flatnonzero(np.diff(ids, prepend=ids[:1] - 2) > 1)
    ends = np.append(begins[1:], ids.size) - 1
    return np.stack([ids[begins], ids[ends]], axis=1).tolist() if ids.size else []


def ids_of(runs: Sequence[Sequence[int]]) -> I64:
    """Return the increasing ids (n,) that runs stand for."""
    return np.concatenate([NONE, *(np.arange(first, last + 1) for first, last in runs)])


def in_records(records: Iterable[Mapping[str, Any]]) -> I64:
    """Return the ids (n,), increasing, that the records of some sources say are void."""
    return np.unique(np.concatenate([NONE, *(ids_of(record["void_ids"]) for record in records)]))


def between(voids: I64, after: int, before: int) -> I64:
    """Return those of increasing ids that lie between two others."""
    begin, end = np.searchsorted(voids, [after + 1, before])
    return voids[begin : max(begin, end)]


def reach(voids: I64, last: int) -> int:
    """Return the id that the known ones run on to after `last`, by way of void ones alone."""
    begin = int(np.searchsorted(voids, last + 1))
    on = voids[begin:] == last + 1 + np.arange(voids.size - begin)
    return last + (on.size if on.all() else int(np.argmin(on)))
