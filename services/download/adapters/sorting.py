"""Rows of a file by their key: memory is that of one piece, however many rows there are and however they came.

Pieces are sorted where they lie, then merged. Source: Knuth (1998), The Art of Computer Programming, vol. 3, section
5.4; what stands here reads ahead of every piece in turn, so that each step merges whole arrays.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from services.download.domain.order import in_order
from tickloom.kernel import I64


@dataclass(frozen=True)
class Pieces:
    """Pieces of a file, each by increasing key, as (first row, row after the last); and how the rows came."""

    bounds: list[tuple[int, int]]
    out_of_order: int
    duplicates: int


def sort_pieces(path: Path, width: int, slot: int, piece: int) -> Pieces:
    """Sort a file of int64 rows (n, width), n > 0, by rows[:, slot], `piece` rows at a time, where they lie.

    Rows that are equal and beside one another then are one.
    """
    bounds: list[tuple[int, int]] = []
    out_of_order = n_read = n_kept = 0
    latest = np.iinfo(np.int64).min
    with path.open("r+b") as file:
        while (rows := read_rows(file, n_read, piece, width)).size:
            n_read += len(rows)
            keys = rows[:, slot]
            out_of_order += int((np.diff(keys) < 0).sum()) + int(keys[0] < latest)
            latest = keys[-1]
            rows = _each_once(rows[np.argsort(keys, kind="stable")])
            file.seek(n_kept * width * 8)  # never beyond what was read
            file.write(rows.data)
            bounds.append((n_kept, n_kept + len(rows)))
            n_kept += len(rows)
    return Pieces(bounds, out_of_order, n_read - n_kept)


def merged(name: str, path: Path, pieces: Pieces, width: int, slot: int, piece: int) -> Iterator[I64]:
    """Yield the rows of sorted pieces by increasing key, each once, at most `piece` at a time or one for each piece.

    Raises ConflictingRows when two rows of one key differ.
    """
    ahead = max(1, piece // len(pieces.bounds))
    last = np.empty((0, width), np.int64)
    with path.open("rb") as file:
        waiting = [_Ahead(file, width, *bounds) for bounds in pieces.bounds]
        while waiting := [one for one in waiting if one.fill(ahead)]:
            until = min((one.rows[-1, slot] for one in waiting if one.has_more()), default=None)
            taken = [one.take(slot, until) for one in waiting]
            rows, _ = in_order(name, np.concatenate([last, *taken]), slot)
            rows, last = rows[len(last) :], rows[-1:].copy()
            if len(rows):
                yield rows


def read_rows(file: IO[bytes], first: int, n: int, width: int) -> I64:
    """Return up to n rows (n, width) of a file from the first-th on."""
    file.seek(first * width * 8)
    rows: I64 = np.fromfile(file, np.int64, n * width).reshape(-1, width)
    return rows


class _Ahead:
    """The rows of a piece that come next."""

    def __init__(self, file: IO[bytes], width: int, at: int, end: int) -> None:
        self._file, self._width, self._at, self._end = file, width, at, end
        self.rows = np.empty((0, width), np.int64)

    def fill(self, n: int) -> bool:
        """Have n rows, or all that are left; tell whether there is one."""
        lacking = min(n - len(self.rows), self._end - self._at)
        if lacking > 0:
            self.rows = np.concatenate([self.rows, read_rows(self._file, self._at, lacking, self._width)])
            self._at += lacking
        return len(self.rows) > 0

    def has_more(self) -> bool:
        """Tell whether rows come after those that are here."""
        return self._at < self._end

    def take(self, slot: int, until: int | None) -> I64:
        """Return the rows with keys up to this one, included, and go on after them; None: all."""
        n = len(self.rows) if until is None else int(np.searchsorted(self.rows[:, slot], until, "right"))
        taken, self.rows = self.rows[:n], self.rows[n:]
        return taken


def _each_once(rows: I64) -> I64:
    new = np.ones(len(rows), np.bool_)
    new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return rows if new.all() else rows[new]
