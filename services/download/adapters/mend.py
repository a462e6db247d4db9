"""A day made again of several partitions: of trades that it lacked, or of its monthly and its daily archive."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from services.download.adapters.compare import compare, ids_in
from services.download.adapters.day import store_day, stored_columns
from services.download.domain import trades
from services.download.domain.corrections import Difference
from services.download.domain.layouts import layout_of
from services.download.domain.voids import NONE, runs_of
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.contracts.download import VERSION
from tickloom.errors import LakeUnavailable
from tickloom.identity import digest
from tickloom.kernel import I64
from tickloom.lake import Lake


def mend(
    lake: Lake,
    day: date,
    kind: tuple[str, str],
    base: FileEntry | None,
    fills: Sequence[FileEntry],
    voids: I64 = NONE,
) -> Part:
    """Store one partition with the trades of several, in id order, each once. What was made before is used again.

    kind   market and data type
    base   the day's partition, or None where there is none yet
    voids  ids of void rows, increasing: they are not missing

    Its bytes are those of a partition that had all these trades from the start: nothing of the order or the number
    of the sources is left in them. facts: `record`, what a source's record would say of the day.

    Raises ConflictingRows when two rows of one id differ.
    """
    whole = [*([base] if base is not None else []), *fills]
    of = {"mended": [entry.sha256 for entry in whole], "kind": [*kind], "void": runs_of(voids)}

    def rows(scratch: Path) -> list[I64]:
        return [_rows(lake, scratch, entry, kind) for entry in whole]

    return _once(lake, of, whole[0], day, kind, rows, voids)


def beside(
    lake: Lake, day: date, kind: tuple[str, str], monthly: FileEntry, daily: FileEntry, voids: tuple[I64, I64]
) -> tuple[Difference, Part | None]:
    """Hold a day's partition of a monthly archive against the daily one's; return how they differ, and their union.

    voids  ids of void rows, increasing: those of the daily archive, which count as its other rows do, and all known

    The union, as `mend` makes it, has every id of both; where their rows differ, it has the daily one's. None where the
    daily archive lacks nothing: then it is the union.
    """
    differs, slot = compare(lake, monthly, daily), layout_of(*kind).slots["trade_id"]
    voided = np.intersect1d(voids[0], ids_in(lake, monthly)).size if voids[0].size else 0
    differs = Difference(differs.only_monthly - voided, differs.only_daily, differs.different + voided)
    if not differs.only_monthly:
        return differs, None
    of = {"united": [monthly.sha256, daily.sha256], "kind": [*kind], "void": [runs_of(ids) for ids in voids]}

    def rows(scratch: Path) -> list[I64]:
        ours, others = _rows(lake, scratch, daily, kind), _rows(lake, scratch, monthly, kind)
        return [ours, others[~np.isin(others[:, slot], np.union1d(ours[:, slot], voids[0]))]]

    return differs, _once(lake, of, daily, day, kind, rows, voids[1])


def _once(
    lake: Lake,
    of: dict[str, Any],
    like: FileEntry,
    day: date,
    kind: tuple[str, str],
    rows: Callable[[Path], Sequence[I64]],
    voids: I64,
) -> Part:
    """Return the part of a day's rows that was made before under the key `of`, or make it; named as `like` is."""
    key = digest({"version": VERSION, "name": like.name, **of})
    part = lake.part("download", key)
    if part is not None:
        return part
    with lake.scratch() as scratch:
        settled, counts = trades.settle(like.name, np.concatenate(rows(scratch)), layout_of(*kind))
        counts |= {"duplicates_dropped": 0, "out_of_order": 0}  # of putting it together, not of any source
        stored = store_day(scratch / "mended.parquet", settled, counts).knowing(voids)
        facts = {"symbol": like.facts["symbol"], "day": day.isoformat(), **stored.facts}
        entry = lake.add_file(like.name, stored.path, rows=stored.n_rows, facts=facts)
        return lake.put_part("download", key, Part(files=(entry,), facts={"record": stored.record()}))


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
