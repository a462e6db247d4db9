"""A day's trades that came in any order, by way of files: memory is that of a row group, not that of the day."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from services.download.adapters.day import DayFile, StoredDay, disk, whole_milliseconds
from services.download.adapters.sorting import merged, read_rows, sort_pieces
from services.download.domain import trades
from services.download.domain.layouts import Layout
from tickloom.kernel import I64


def store_rows(name: str, spooled: Path, number: int, layout: Layout, row_group: int) -> StoredDay:
    """Write the day that a file of rows, int64 (n, layout.width), n > 0, in any order, holds; the file is gone then.

    What is written, and what is found on the way, is that of trades.settle. Raises ConflictingRows, DoesNotFit.
    """
    with disk(spooled):
        slot, ordered = layout.slots["trade_id"], spooled.with_suffix(".ordered")
        pieces = sort_pieces(spooled, layout.width, slot, row_group)
        found = _Found(np.empty((0, layout.width), np.int64))
        with ordered.open("wb") as file:
            for rows in merged(name, spooled, pieces, layout.width, slot, row_group):
                found.look(rows, layout)
                file.write(rows.data)
        spooled.unlink()
        n_kept = ordered.stat().st_size // (8 * layout.width)
        repeated = pieces.duplicates + pieces.bounds[-1][1] - n_kept
        day = _written(name, ordered, number, layout, found, row_group)
        ordered.unlink()
    return day.finish(pieces.out_of_order, repeated)


def _written(name: str, ordered: Path, number: int, layout: Layout, found: "_Found", row_group: int) -> DayFile:
    day: DayFile | None = None
    with ordered.open("rb") as file:
        for rows in _groups(file, layout.width, row_group):
            part = trades.as_trades(name, rows, found.finest, layout)
            if day is None:
                scales = {"price": part.price_scale, "quantity": part.quantity_scale}
                path = ordered.with_name(f"day{number}.parquet")
                day = DayFile(path, number, scales, milliseconds=found.whole_milliseconds)
            day.put(part)
    assert day is not None
    return day


def _groups(file: IO[bytes], width: int, row_group: int) -> Iterator[I64]:
    at = 0
    while (rows := read_rows(file, at, row_group, width)).size:
        yield rows
        at += len(rows)


@dataclass
class _Found:
    """What must be known of a whole day before any of it is written.

    finest  (m, width)  the row of the finest price and that of the finest quantity
    """

    finest: I64
    whole_milliseconds: bool = True

    def look(self, rows: I64, layout: Layout) -> None:
        """Take note of rows."""
        known = np.concatenate([self.finest, rows])
        places = [trades.decimal_columns(known, layout.slots[of])[1] for of in ("price", "quantity")]
        self.finest = known[[int(np.argmax(column)) for column in places]]
        self.whole_milliseconds = self.whole_milliseconds and whole_milliseconds(rows[:, layout.slots["ts"]])
