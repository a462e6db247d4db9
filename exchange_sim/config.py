"""How one simulator is set up: where it keeps archives, what it mounts, what day it believes it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path


def utc_today() -> date:
    """Return the current UTC day."""
    return datetime.now(UTC).date()


@dataclass(frozen=True)
class SimSettings:
    """Set-up of one simulator. None of it changes a byte of an archive.

    cache    folder of finished archives; may be deleted at any time, may be shared
    mounts   dataset name -> folder of real archives
    quiet    no access log
    today    the current UTC day: days before it are published, it and later ones are 404
    stall_s  seconds of silence in the fault `stall`
    slow_s   seconds between two bytes in the fault `slow`
    """

    cache: Path
    mounts: Mapping[str, Path] = field(default_factory=dict)
    quiet: bool = False
    today: Callable[[], date] = utc_today
    stall_s: float = 3600.0
    slow_s: float = 1.0
