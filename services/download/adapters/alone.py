"""One process of a machine at a time: ten jobs that want one archive download it once."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

LOOK_S: Final = 0.1


@contextmanager
def alone(notes: Path, key: str, beat: Callable[[], None] = lambda: None) -> Iterator[Callable[[], None]]:
    """Let one process of this machine work on a key at a time. `notes` is a folder that they share.

    Yields what the body calls when it gets on; then those that wait for it get on too, and call their own `beat`.
    """
    folder = notes / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / key).open("ab") as file:
        stamp = 0
        while not _locked(file):
            if (now := os.fstat(file.fileno()).st_mtime_ns) != stamp:
                stamp = now
                beat()
            time.sleep(LOOK_S)

        def getting_on() -> None:
            os.utime(file.fileno())
            beat()

        yield getting_on


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
