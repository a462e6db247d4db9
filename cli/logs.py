"""The parts' logs: <home>/logs/<part>.log, and one older piece beside it."""

import contextlib
import os
import shutil
from pathlib import Path

LIMIT = 20_000_000


def rotate(log: Path, *, running: bool = False, limit: int = LIMIT) -> None:
    """Move a log that has grown over `limit` bytes to `<log>.1`.

    A running program keeps its file open for appending, so its log is copied and cut to nothing instead; a line
    written in between is lost.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size <= limit:
            return
        older = log.with_name(log.name + ".1")
        if running:
            shutil.copyfile(log, older)
            os.truncate(log, 0)
        else:
            log.replace(older)


def tail(log: Path, lines: int = 12) -> str:
    """Return the last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
