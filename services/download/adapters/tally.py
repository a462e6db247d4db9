"""How far the tasks of a run are, told while they are at work: a file to which each adds what it has read.

It is for the eye alone. A machine elsewhere that does not see the file adds nothing, a task that is run twice adds
twice; what a run brought together is known when its tasks return.
"""

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

from tickloom.errors import StageCancelled

LOOK_S: Final = 0.5
_ENTRY: Final = struct.Struct("<qq")


@dataclass(frozen=True)
class Tally:
    """Archives and rows read so far by all tasks that were given this.

    alive  a file of one task's own, touched whenever it gets on (tickloom.fanout.Task.alive)
    """

    path: Path
    alive: Path | None = None

    def of_task(self, n: int) -> Self:
        """Return the same for the n-th task, which tells of itself too whether it gets on."""
        return replace(self, alive=self.path.with_name(f"{self.path.name}.{n}"))

    def beat(self) -> None:
        """Tell that the task gets on. In vain where the folder is not to be found."""
        if self.alive is not None:
            with suppress(OSError):
                self.alive.touch()

    def add(self, archives: int, rows: int) -> None:
        """Add what was read since the last time. In vain where the folder is not to be found."""
        self.beat()
        try:
            with self.path.open("ab") as file:  # an append this short is never torn
                file.write(_ENTRY.pack(archives, rows))
        except OSError:
            return

    def sums(self) -> tuple[int, int]:
        """Return the archives and the rows that were added."""
        try:
            data = self.path.read_bytes()
        except OSError:
            return 0, 0
        entries = list(_ENTRY.iter_unpack(data[: len(data) // _ENTRY.size * _ENTRY.size]))
        return sum(archives for archives, _ in entries), sum(rows for _, rows in entries)


@contextmanager
def counting(folder: Path, tell: Callable[[int, int], None], look_s: float = LOOK_S) -> Iterator[Tally]:
    """Yield a tally for tasks, and tell its sums while the body runs, when they have grown."""
    folder.mkdir(parents=True, exist_ok=True)
    tally, done = Tally(folder / uuid4().hex), threading.Event()

    def watch() -> None:
        told = (0, 0)
        while not done.wait(look_s):
            sums = tally.sums()
            if sums != told:
                told = sums
                try:
                    tell(*sums)
                except StageCancelled:  # whoever runs the body finds out too
                    return

    thread = threading.Thread(target=watch, name="counting", daemon=True)
    thread.start()
    try:
        yield tally
    finally:
        done.set()
        thread.join()
        for path in folder.glob(f"{tally.path.name}*"):
            path.unlink(missing_ok=True)
