"""Trades of a source to days: as they come while they come in order, by way of a scratch disk where they do not."""

from pathlib import Path
from typing import Final

import numpy as np

from services.download.adapters.day import NAMES, OpenDay, StoredDay, stored_columns
from services.download.adapters.settled import store_rows
from services.download.adapters.spool import Spool
from services.download.domain import trades, voids
from services.download.domain.errors import BadRow
from services.download.domain.layouts import Layout
from services.download.domain.quality import Quality
from services.download.domain.text import PACKED_BLOCK, Packed, Rows
from services.download.domain.times import DAY_US, check_times, to_microseconds
from services.download.kernels.trades import (
    FULL,
    NO_ID,
    NO_PRICE,
    NO_QUANTITY,
    NO_RANGE,
    OTHER_DAY,
    PLACES,
    TRADE_ID,
    TS,
    UNORDERED,
    take_at_once,
    take_trades,
)
from tickloom.kernel import I64
from tickloom.lake import ROW_GROUP

_REASONS: Final = {
    NO_PRICE: trades.NO_PRICE,
    NO_QUANTITY: trades.NO_QUANTITY,
    NO_ID: trades.NO_ID,
    NO_RANGE: trades.NO_RANGE,
}
_NEVER: Final = (0, 0)


class Days:
    """Sorts a source's trades into days of its period, and makes each day a file.

    A day is written while it is read as long as its ids increase and it is not left. Else its rows go to the spool,
    those written as well, and the day is settled at the end: what is kept and counted is the same.
    """

    def __init__(self, name: str, layout: Layout, period: tuple[int, int], folder: Path, quality: Quality) -> None:
        """Read for `period`, its first day and the first day after it, as numbers."""
        self._name, self._layout, self._folder, self._quality = name, layout, folder, quality
        self._period = (period[0] * DAY_US, period[1] * DAY_US)
        # Room for a block after a full row group: lines are parsed to where they stay.
        self._group = np.empty((len(layout.slots), ROW_GROUP + PACKED_BLOCK), np.int64)
        self._open: OpenDay | None = None
        self._stored: dict[int, StoredDay] = {}
        self._spool = Spool(folder, layout.width)
        self._voids: list[I64] = []

    def numbers(self) -> list[int]:
        """Return the days that have trades, in order."""
        last = {self._open.number} if self._open is not None else set()
        return sorted({*self._stored, *self._spool.periods(), *last})

    def voids(self) -> I64:
        """Return the ids of the void rows that were dropped, increasing."""
        return np.unique(np.concatenate([voids.NONE, *self._voids]))

    def room(self) -> tuple[I64, int]:
        """Return where to put the next block of trades, as RowReader.read_trades asks for it."""
        return self._group, self._open.filled if self._open is not None else 0

    def add(self, part: Packed | Rows) -> None:
        """Take trades. Raises BadRow for the first that cannot be one."""
        if isinstance(part, Rows):
            self._set_aside(part.line, part.rows)
        elif not self._take_at_once(part):
            self._take(part.line, part.begin, part.end)

    def _take_at_once(self, part: Packed) -> bool:
        """Take a block where it was put when all is well, which is nearly always; else change nothing."""
        day = self._open
        if day is None or part.begin != day.filled or part.end > ROW_GROUP:
            return False
        span = (day.number * DAY_US, (day.number + 1) * DAY_US)
        well, n_milliseconds = take_at_once(self._group, part.begin, part.end, span, day.before)
        if well:
            day.filled, day.before = part.end, int(self._group[TRADE_ID, part.end - 1])
            self._quality.n_milliseconds += n_milliseconds
        return well

    def _take(self, line: int, begin: int, end: int) -> None:
        block, at = self._group[:, begin:end], begin
        if (void := trades.packed_sentinels(block)).any():
            self._voids.append(block[TRADE_ID, void])
        while at < end:
            at, why = self._fill(at, end)
            if why in _REASONS:
                raise BadRow(self._name, line + at - begin, _REASONS[why])
            if why == FULL and self._open is not None:
                self._open.flush()
            elif why == UNORDERED or (why == OTHER_DAY and not self._turn_to(line + at - begin, self._group[TS, at])):
                columns = dict(zip(NAMES, self._group[:, at:end], strict=False))
                scales = {"price": PLACES, "quantity": PLACES}
                self._set_aside(line + at - begin, trades.as_rows(columns, scales, self._layout))
                return

    def _fill(self, at: int, end: int) -> tuple[int, int]:
        """Move trades to the open day; return where that stopped, and why."""
        day, filled, before = _NEVER, 0, -1
        if self._open is not None:
            day = (self._open.number * DAY_US, (self._open.number + 1) * DAY_US)
            filled, before = self._open.filled, self._open.before
        at, filled, why, *counts = take_trades(self._group, at, end, self._period, day, before, filled, ROW_GROUP)
        if self._open is not None and filled > self._open.filled:
            self._open.filled, self._open.before = filled, int(self._group[TRADE_ID, filled - 1])
        self._quality.n_milliseconds += counts[0]
        self._quality.dropped["sentinel"] += counts[1]
        self._quality.dropped["other_day"] += counts[2]
        return at, why

    def _turn_to(self, line: int, time: int) -> bool:
        """Close the open day and open that of a time; return False where that day was there before. Raises BadRow."""
        ts, _ = to_microseconds(np.array([time]))
        check_times(self._name, line, ts, np.ones(1, np.bool_))
        number = int(ts[0] // DAY_US)
        if number in self._stored or number in self._spool.periods():
            return False
        self._close()
        self._open = OpenDay(self._folder, number, self._group)
        return True

    def _close(self) -> None:
        if self._open is not None:
            self._stored[self._open.number] = self._open.close()
            self._open = None

    def _set_aside(self, line: int, rows: I64) -> None:
        """Send rows to the spool, after all that came before of their days."""
        times = rows[:, self._layout.slots["ts"]]
        times[:], n_milliseconds = to_microseconds(times)
        sentinel = trades.sentinels(rows, self._layout)
        trades.check_rows(self._name, line, rows, self._layout, ~sentinel)
        other = ~sentinel & ((times < self._period[0]) | (times >= self._period[1]))
        self._quality.n_milliseconds += n_milliseconds
        self._quality.dropped["sentinel"] += int(sentinel.sum())
        self._quality.dropped["other_day"] += int(other.sum())
        self._voids += [rows[sentinel, self._layout.slots["trade_id"]]] if sentinel.any() else []
        keep = ~(sentinel | other)
        check_times(self._name, line, times, keep)
        days = times[keep] // DAY_US
        for number in np.unique(days).tolist():
            self._reopen(number)
        self._spool.add(rows[keep], days)

    def _reopen(self, number: int) -> None:
        """Send what was taken of a day to the spool."""
        if self._open is not None and self._open.number == number:
            parts, self._open = self._open.abandon(), None
        elif number in self._stored:
            path = self._stored.pop(number).path
            parts = stored_columns(path)
        else:
            return
        for columns, scales in parts:
            rows = trades.as_rows(columns, scales, self._layout)
            self._spool.add(rows, np.full(len(rows), number))

    def settled(self, number: int) -> StoredDay:
        """Return a day when all trades have come. Raises ConflictingRows, DoesNotFit."""
        self._close()
        if number not in self._stored:
            self._stored[number] = store_rows(self._name, self._spool.give(number), number, self._layout, ROW_GROUP)
        return self._stored[number]
