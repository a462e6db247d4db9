"""The trials that are finished of a batch that is not: kept one by one, so that a kill costs the one at work."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from tickloom.identity import canonical
from tickloom.kernel import F64
from tickloom.lake.journal import Journal, Writer

Row = dict[str, Any]
"""`combo`, the metrics, and `inside`: what hung on the inside of bars."""


def keep(writer: Writer, row: Row, returns: F64) -> None:
    """Write down a trial that is finished. Raises ValueError for a metric that no JSON can hold, LakeUnavailable."""
    writer.append(canonical(row) + b"\n" + np.ascontiguousarray(returns, "<f8").tobytes())


def fresh(journal: Journal) -> Iterator[tuple[Row, F64]]:
    """Yield the trials that were written down since the last look, each with its daily returns, (n_days - 1,)."""
    for record in journal.fresh():
        text, _, data = record.partition(b"\n")
        yield json.loads(text), np.frombuffer(data, "<f8")
