"""One day's trades to a Parquet file as they come, a row group at a time: memory is that of a row group."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from services.download.adapters.tables import TRADES_PACKING, required, trades_table
from services.download.domain.findings import minutes_text
from services.download.domain.gaps import SHORTEST_SILENCE_US, Gaps, silences, silences_among, step_gaps
from services.download.domain.scale import decimal_text, exact_dot, exact_sum
from services.download.domain.times import DAY_US
from services.download.domain.trades import DayTrades
from services.download.domain.voids import between
from services.download.kernels.minutes import MINUTES, mark_minutes
from services.download.kernels.sums import divide_exactly, time_steps, zeros_in_common
from services.download.kernels.trades import (
    FIRST_ID,
    IS_BUYER_MAKER,
    LAST_ID,
    PLACES,
    PRICE,
    QUANTITY,
    TRADE_ID,
    TS,
)
from tickloom.errors import LakeUnavailable
from tickloom.kernel import I64, Bool
from tickloom.lake import (
    ROW_GROUP,
    check_table,
    decimals,
    in_microseconds,
    read_table,
    rescale,
    table_writer,
    times,
    units,
)

NAMES: Final = ("trade_id", "ts", "price", "quantity", "is_buyer_maker", "first_id", "last_id")
"""The rows of a packed block by name."""


@dataclass(frozen=True)
class StoredDay:
    """A day's partition on a scratch disk, and what was found in it."""

    path: Path
    n_rows: int
    facts: dict[str, Any]
    counts: dict[str, int]
    id_gaps: Gaps
    time_gaps: Gaps
    marks: Bool  # (1440,) minutes with a trade

    def record(self) -> dict[str, Any]:
        """Return what its source's record says of it."""
        return {
            "rows": self.n_rows,
            "first_id": self.facts["first_id"],
            "last_id": self.facts["last_id"],
            "id_gaps": self.id_gaps.count,
            "ids_missing": self.id_gaps.missing,
            "duplicates": self.counts["duplicates_dropped"],
            "out_of_order": self.counts["out_of_order"],
            "time_reversals": self.counts["time_reversals"],
            "minutes": minutes_text(self.marks),
        }

    @cached_property
    def ids(self) -> I64:
        """Return the ids of its trades, in order."""
        return _integers(read_table(self.path, ["trade_id"])["trade_id"])

    def of_rows(self, voids: I64) -> I64:
        """Return those of increasing ids that its trades have: a void row may repeat the id of one that is not."""
        near = between(voids, self.facts["first_id"] - 1, self.facts["last_id"] + 1)
        return near[np.isin(near, self.ids)] if near.size else near

    def knowing(self, voids: I64) -> "StoredDay":
        """Return it with the gaps that are left where void rows had these ids, which are increasing."""
        own = between(voids, self.facts["first_id"], self.facts["last_id"])
        if not (own.size and self.id_gaps.count):
            return self
        left = Gaps()
        step_gaps(np.union1d(self.ids, own), 1, left)
        return replace(self, id_gaps=left)


def store_day(path: Path, day: DayTrades, counts: dict[str, int]) -> StoredDay:
    """Write a day that is in memory."""
    id_gaps, time_gaps = Gaps(), Gaps()
    table = trades_table(day, milliseconds=whole_milliseconds(day.ts))
    step_gaps(day.trade_id, 1, id_gaps)
    silences(day.ts, time_gaps)
    marks = np.zeros(MINUTES, np.bool_)
    mark_minutes(day.ts, int(day.ts[0]) // DAY_US * DAY_US, marks)
    with disk(path), table_writer(path, table.schema, TRADES_PACKING) as writer:
        writer.write_table(table, ROW_GROUP)
    check_table(path, path.name, table.schema, table.num_rows)
    return StoredDay(path, table.num_rows, day.facts(), counts, id_gaps, time_gaps, marks)


class DayFile:
    """A day that is written a piece at a time, by increasing id, on scales that hold all of it."""

    def __init__(self, path: Path, number: int, scales: dict[str, int], *, milliseconds: bool) -> None:
        """Open the file of a day by its number. milliseconds: all times are whole ones."""
        self.path, self.number = path, number
        self._scales, self._milliseconds = scales, milliseconds
        self._writer: pq.ParquetWriter | None = None
        self._written = 0
        self._first_id = self._last_id = -1
        self._first_ts = self._last_ts = self._latest = 0
        self._quantity = self._notional = 0  # exact sums, on the scales of the day
        self._n_back = 0
        self._pauses: list[I64] = []
        self._id_gaps = Gaps()
        self._marks = np.zeros(MINUTES, np.bool_)

    def put(self, part: DayTrades) -> None:
        """Write trades as a row group."""
        self._note(part)
        self._write(trades_table(part, milliseconds=self._milliseconds))
        self._written += part.trade_id.size

    def _write(self, table: pa.Table) -> None:
        with disk(self.path):
            if self._writer is None:
                self._writer = table_writer(self.path, table.schema, TRADES_PACKING)
            self._writer.write_table(table, ROW_GROUP)

    def _note(self, part: DayTrades) -> None:
        """Add what the day's facts and its record say about these trades."""
        ids, ts = part.trade_id, part.ts
        if not self._written:
            self._first_id, self._last_id = int(ids[0]), int(ids[0]) - 1
            self._first_ts, self._latest = int(ts[0]), int(ts[0])
            self._last_ts = self._first_ts
        step_gaps(np.array([self._last_id, ids[0]]), 1, self._id_gaps)
        step_gaps(ids, 1, self._id_gaps)
        least, greatest, n_back, n_long = time_steps(ts, self._latest, SHORTEST_SILENCE_US)
        if n_long:
            times = np.concatenate([[self._latest], ts])
            where = np.flatnonzero(np.diff(times) > SHORTEST_SILENCE_US)
            self._pauses.append(np.stack([times[where], times[where + 1]]))
        mark_minutes(ts, self.number * DAY_US, self._marks)
        self._first_ts, self._last_ts = min(self._first_ts, int(least)), max(self._last_ts, int(greatest))
        self._last_id, self._latest = int(ids[-1]), int(ts[-1])
        self._n_back += int(n_back)
        self._quantity += exact_sum(part.quantity)
        self._notional += exact_dot(part.price, part.quantity)

    def finish(self, out_of_order: int = 0, duplicates: int = 0) -> StoredDay:
        """Finish the file and return the day, with counts of how its rows came."""
        assert self._writer is not None
        schema = self._writer.schema
        with disk(self.path):
            self._writer.close()
        check_table(self.path, self.path.name, schema, self._written)
        price_scale, quantity_scale = self._scales.values()
        facts = {
            "price_scale": price_scale,
            "quantity_scale": quantity_scale,
            "first_id": self._first_id,
            "last_id": self._last_id,
            "first_ts": self._first_ts,
            "last_ts": self._last_ts,
            "quantity": decimal_text(self._quantity, quantity_scale),
            "notional": decimal_text(self._notional, price_scale + quantity_scale),
        }
        counts = {"out_of_order": out_of_order, "duplicates_dropped": duplicates, "time_reversals": self._n_back}
        return StoredDay(self.path, self._written, facts, counts, self._id_gaps, self._silences(), self._marks)

    def _silences(self) -> Gaps:
        gaps = Gaps()
        if self._n_back:
            silences(_integers(read_table(self.path, ["ts"])["ts"]), gaps)
        elif self._pauses:
            before, after = np.concatenate(self._pauses, axis=1)
            silences_among(before, after, (self._last_ts - self._first_ts) // (self._written - 1), gaps)
        return gaps


class OpenDay(DayFile):
    """A day whose trades come by increasing id: packed in `group`, and written whenever that is full.

    `group` is (7 or 5, ROW_GROUP), as take_trades fills it up to `filled`; `before` is the last id.
    """

    def __init__(self, folder: Path, number: int, group: I64) -> None:
        super().__init__(folder / f"day{number}.parquet", number, {"price": 0, "quantity": 0}, milliseconds=True)
        self.group, self.filled, self.before = group, 0, -1

    def flush(self) -> None:
        """Write the trades of the group as a row group."""
        rows = self.group[:, : self.filled]
        self._find_scales(rows)
        for row, name in ((PRICE, "price"), (QUANTITY, "quantity")):
            divide_exactly(rows[row], PLACES - self._scales[name], rows[row])
        aggregates = len(rows) > FIRST_ID
        part = DayTrades(
            trade_id=rows[TRADE_ID],
            ts=rows[TS],
            price=rows[PRICE],
            quantity=rows[QUANTITY],
            is_buyer_maker=rows[IS_BUYER_MAKER].astype(np.int8),
            first_id=rows[FIRST_ID] if aggregates else None,
            last_id=rows[LAST_ID] if aggregates else None,
            price_scale=self._scales["price"],
            quantity_scale=self._scales["quantity"],
        )
        self.put(part)
        self.filled = 0

    def _find_scales(self, rows: I64) -> None:
        """Make the scales such that they hold the rows' values too; rewrite what was written on smaller ones."""
        grown = {}
        for row, name in ((PRICE, "price"), (QUANTITY, "quantity")):
            most = PLACES - self._scales[name]
            grown[name] = most - zeros_in_common(rows[row], most)
        finer = self._milliseconds and not whole_milliseconds(rows[TS])
        if finer or any(grown.values()):
            self._quantity *= 10 ** grown["quantity"]
            self._notional *= 10 ** (grown["price"] + grown["quantity"])
            self._scales = {name: scale + grown[name] for name, scale in self._scales.items()}
            self._milliseconds = self._milliseconds and not finer
            if self._writer is not None:
                self._rewrite(self._writer)

    def _rewrite(self, writer: pq.ParquetWriter) -> None:
        """Write the row groups that were written once more, on the scales that the day has now."""
        old = self.path.with_suffix(".old")
        with disk(self.path):
            writer.close()
            self.path.rename(old)
        self._writer = None
        for part in _row_groups(old):
            columns = dict(zip(part.column_names, part.columns, strict=True))
            columns["ts"] = times(_integers(part["ts"]), milliseconds=self._milliseconds)
            for name, scale in self._scales.items():
                columns[name] = decimals(rescale(*units(part[name]), scale), scale)
            self._write(required(columns))
        old.unlink()

    def close(self) -> StoredDay:
        """Finish the file and return the day."""
        if self.filled:
            self.flush()
        return self.finish()

    def abandon(self) -> Iterator[tuple[dict[str, I64], dict[str, int]]]:
        """Yield its trades as columns with their scales, in order; nothing of the day is left afterwards."""
        if self._writer is not None:
            with disk(self.path):
                self._writer.close()
            yield from stored_columns(self.path)
            self.path.unlink()
        scales = {"price": PLACES, "quantity": PLACES}
        yield dict(zip(NAMES, self.group[:, : self.filled], strict=False)), scales


def stored_columns(path: Path) -> Iterator[tuple[dict[str, I64], dict[str, int]]]:
    """Yield the trades of a partition as columns with their scales, a row group at a time."""
    for table in _row_groups(path):
        columns, scales = {}, {}
        for name in table.column_names:
            if name in ("price", "quantity"):
                columns[name], scales[name] = units(table[name])
            else:
                columns[name] = _integers(table[name])
        yield columns, scales


def _row_groups(path: Path) -> Iterator[pa.Table]:
    with disk(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        for i in range(file.num_row_groups):
            yield in_microseconds(file.read_row_group(i, use_threads=False))


def whole_milliseconds(ts: I64) -> bool:
    """Tell whether all times are whole milliseconds."""
    return zeros_in_common(ts, 3) == 3


def _integers(column: pa.ChunkedArray) -> I64:
    return np.asarray(column.to_numpy(), np.int64)


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Raise LakeUnavailable for what fails around a file of a scratch disk."""
    try:
        yield
    except OSError as error:
        raise LakeUnavailable(str(path.parent), str(error)) from error
