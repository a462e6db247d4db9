"""Rows by period on a scratch disk: memory stays that of one period, in whatever order a file's rows come."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from tickloom.errors import LakeUnavailable
from tickloom.kernel import I64


class Spool:
    """A file of int64 rows per period, a day or a year by its number, in a folder of one's own."""

    def __init__(self, folder: Path, width: int) -> None:
        self._folder, self._width = folder, width
        self._periods: set[int] = set()

    def add(self, rows: I64, periods: I64) -> None:
        """Keep rows (n, width), each with the number of its period (n,)."""
        edges = np.flatnonzero(np.diff(periods)) + 1
        bounds = [0, *edges.tolist(), periods.size]
        if len(bounds) > 64:  # shuffled over periods: few long writes instead of many short ones
            order = np.argsort(periods, kind="stable")
            rows, periods = rows[order], periods[order]
            bounds = [0, *(np.flatnonzero(np.diff(periods)) + 1).tolist(), periods.size]
        for begin, end in pairwise(bounds):
            if end > begin:
                self._append(int(periods[begin]), rows[begin:end])

    def _append(self, period: int, rows: I64) -> None:
        self._periods.add(period)
        try:
            with self._file(period).open("ab") as file:
                file.write(np.ascontiguousarray(rows).data)
        except OSError as error:
            raise LakeUnavailable(str(self._folder), str(error)) from error

    def _file(self, period: int) -> Path:
        return self._folder / f"period{period}.rows"

    def periods(self) -> list[int]:
        """Return the periods that have rows, in order."""
        return sorted(self._periods)

    def give(self, period: int) -> Path:
        """Return the file of a period's rows in the order in which they came, int64 (n, width); it is the caller's."""
        return self._file(period)

    def take(self, period: int) -> I64:
        """Return a period's rows in the order in which they came, (n, width), and forget them."""
        rows: I64 = np.fromfile(self._file(period), np.int64).reshape(-1, self._width)
        self._file(period).unlink()
        return rows
