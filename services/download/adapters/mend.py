"""A day made again of its partition and of trades that it lacked."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from services.download.adapters.day import store_day, stored_columns
from services.download.domain import trades
from services.download.domain.layouts import layout_of
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.errors import LakeUnavailable
from tickloom.kernel import I64
from tickloom.lake import Lake


def mend(
    lake: Lake, scratch: Path, day: date, kind: tuple[str, str], base: FileEntry | None, fills: Sequence[FileEntry]
) -> Part:
    """Store one partition with the trades of several, in id order, each once.

    kind  market and data type
    base  the day's partition, or None where there is none yet

    Its bytes are those of a partition that had all these trades from the start: nothing of the order or the number
    of the sources is left in them. facts: `record`, what a source's record would say of the day.

    Raises ConflictingRows when two rows of one id differ.
    """
    layout, whole = layout_of(*kind), [*([base] if base is not None else []), *fills]
    rows = [
        trades.as_rows(columns, scales, layout) for entry in whole for columns, scales in _columns(lake, scratch, entry)
    ]
    settled, counts = trades.settle(whole[0].name, np.concatenate(rows), layout)
    del rows
    counts |= {"duplicates_dropped": 0, "out_of_order": 0}  # of putting it together, not of any source
    stored = store_day(scratch / "mended.parquet", settled, counts)
    facts = {"symbol": whole[0].facts["symbol"], "day": day.isoformat(), **stored.facts}
    entry = lake.add_file(whole[0].name, stored.path, rows=stored.n_rows, facts=facts)
    return Part(files=(entry,), facts={"record": stored.record()})


def _columns(lake: Lake, scratch: Path, entry: FileEntry) -> Iterator[tuple[dict[str, I64], dict[str, int]]]:
    path = scratch / f"{entry.sha256}.parquet"
    try:
        path.write_bytes(lake.read_bytes(entry))
    except OSError as error:
        raise LakeUnavailable(lake.url, str(error)) from error
    yield from stored_columns(path)
