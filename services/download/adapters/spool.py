"""Rows by day on a scratch disk: memory stays that of one day, in whatever order a month's rows come."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from tickloom.errors import LakeUnavailable
from tickloom.kernel import I64


class Spool:
    """A file of int64 rows per day in a folder of one's own."""

    def __init__(self, folder: Path, width: int) -> None:
        self._folder, self._width = folder, width
        self._days: set[int] = set()

    def add(self, rows: I64, days: I64) -> None:
        """Keep rows (n, width), each with the number of its day (n,)."""
        edges = np.flatnonzero(np.diff(days)) + 1
        bounds = [0, *edges.tolist(), days.size]
        if len(bounds) > 64:  # shuffled over days: few long writes instead of many short ones
            order = np.argsort(days, kind="stable")
            rows, days = rows[order], days[order]
            bounds = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), days.size]
        for begin, end in pairwise(bounds):
            if end > begin:
                self._append(int(days[begin]), rows[begin:end])

    def _append(self, day: int, rows: I64) -> None:
        self._days.add(day)
        try:
            with self._file(day).open("ab") as file:
                file.write(np.ascontiguousarray(rows).data)
        except OSError as error:
            raise LakeUnavailable(str(self._folder), str(error)) from error

    def _file(self, day: int) -> Path:
        return self._folder / f"day{day}.rows"

    def days(self) -> list[int]:
        """Return the days that have rows, in order."""
        return sorted(self._days)

    def take(self, day: int) -> I64:
        """Return a day's rows in the order in which they came, (n, width), and forget them."""
        rows: I64 = np.fromfile(self._file(day), np.int64).reshape(-1, self._width)
        self._file(day).unlink()
        return rows
