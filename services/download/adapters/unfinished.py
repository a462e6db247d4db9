"""Archives that have arrived in part: they outlive an attempt that was killed or failed, and the next one goes on."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from services.download.domain.errors import BadSource

KEPT_S: Final = 7 * 86400.0
"""A download that nobody went on with for a week is forgotten, here or by `tickloom gc`."""


@contextmanager
def unfinished(folder: Path, key: str) -> Iterator[Path]:
    """Yield the file of this machine in which an archive arrives, with what of it came before.

    It is removed when the body has ended, or has found that what came cannot be used. What ends it otherwise, a kill or
    a network that fails, leaves it. One body at a time may have a key. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = folder / key
    own.mkdir(exist_ok=True)
    os.utime(own)  # it is wanted: young in the eyes of whoever cleans up
    _forget(folder)
    try:
        yield own / "archive.zip"
    except BadSource:
        _remove(own)
        raise
    except BaseException:
        with suppress(OSError):  # nothing came of it
            own.rmdir()
        raise
    _remove(own)


def _forget(folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(OSError):
            if max(one.stat().st_mtime for one in (path, *path.iterdir())) < time.time() - KEPT_S:
                _remove(path)


def _remove(folder: Path) -> None:
    with suppress(OSError):
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        folder.rmdir()
