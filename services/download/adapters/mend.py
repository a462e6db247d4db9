"""A day made again of several partitions: of trades that it lacked, or of its monthly and its daily archive."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from services.download.adapters.compare import compare
from services.download.adapters.day import store_day, stored_columns
from services.download.domain import trades
from services.download.domain.corrections import Difference
from services.download.domain.layouts import layout_of
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.contracts.download import VERSION
from tickloom.errors import LakeUnavailable
from tickloom.identity import digest
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
    whole = [*([base] if base is not None else []), *fills]
    rows = [_rows(lake, scratch, entry, kind) for entry in whole]
    return _stored(lake, scratch, day, kind, whole[0], rows)


def beside(
    lake: Lake, day: date, kind: tuple[str, str], monthly: FileEntry, daily: FileEntry
) -> tuple[Difference, Part | None]:
    """Hold a day's partition of a monthly archive against the daily one's; return how they differ, and their union.

    The union, as `mend` makes it, has every id of both; where their rows differ, it has the daily one's. None where the
    daily archive lacks nothing: then it is the union.
    """
    differs = compare(lake, monthly, daily)
    if not differs.only_monthly:
        return differs, None
    key = digest({"version": VERSION, "united": [monthly.sha256, daily.sha256]})
    part = lake.part("download", key)
    if part is None:
        with lake.scratch() as scratch:
            part = lake.put_part("download", key, _united(lake, scratch, day, kind, monthly, daily))
    return differs, part


def _united(lake: Lake, scratch: Path, day: date, kind: tuple[str, str], monthly: FileEntry, daily: FileEntry) -> Part:
    ours, others = _rows(lake, scratch, daily, kind), _rows(lake, scratch, monthly, kind)
    slot = layout_of(*kind).slots["trade_id"]
    lacking = ~np.isin(others[:, slot], ours[:, slot])
    return _stored(lake, scratch, day, kind, daily, [ours, others[lacking]])


def _stored(lake: Lake, scratch: Path, day: date, kind: tuple[str, str], like: FileEntry, rows: Sequence[I64]) -> Part:
    settled, counts = trades.settle(like.name, np.concatenate(rows), layout_of(*kind))
    counts |= {"duplicates_dropped": 0, "out_of_order": 0}  # of putting it together, not of any source
    stored = store_day(scratch / "mended.parquet", settled, counts)
    facts = {"symbol": like.facts["symbol"], "day": day.isoformat(), **stored.facts}
    entry = lake.add_file(like.name, stored.path, rows=stored.n_rows, facts=facts)
    return Part(files=(entry,), facts={"record": stored.record()})


def _rows(lake: Lake, scratch: Path, entry: FileEntry, kind: tuple[str, str]) -> I64:
    layout = layout_of(*kind)
    parts = [trades.as_rows(columns, scales, layout) for columns, scales in _columns(lake, scratch, entry)]
    return np.concatenate(parts)


def _columns(lake: Lake, scratch: Path, entry: FileEntry) -> Iterator[tuple[dict[str, I64], dict[str, int]]]:
    path = scratch / f"{entry.sha256}.parquet"
    try:
        path.write_bytes(lake.read_bytes(entry))
    except OSError as error:
        raise LakeUnavailable(lake.url, str(error)) from error
    yield from stored_columns(path)
