"""Which archives one worker call takes: many small ones, so that start-up and task costs are shared, or one large."""

from collections.abc import Sequence
from typing import Final

from services.download.domain.archives import Archive
from tickloom.contracts.download import INTERVAL_US

FULL: Final = 1.0
"""The expected work of a call: that of a busy symbol's month of trades."""

DAY_OF_TRADES: Final = 1 / 8
"""A day holds a thirtieth of a month, but is as often of a quiet symbol: eight make at least a tenth of a second."""

BARS: Final = 1_000_000
"""Klines that are as much work as a full call."""

MOST: Final = 32
"""Archives in a call: each is two requests at least, and a call has one deadline."""

ROUNDS: Final = 4
"""Calls per worker at least, while there are archives enough: the last calls then end at nearly the same time."""


def work_of(archive: Archive) -> float:
    """Return what reading an archive is expected to cost, in full calls: sizes are known only later."""
    if archive.interval:
        days = (archive.last - archive.first).days + 1
        return days * 86_400_000_000 / INTERVAL_US[archive.interval] / BARS
    return FULL if archive.monthly else DAY_OF_TRADES


def batches(archives: Sequence[Archive], n_workers: int) -> list[tuple[Archive, ...]]:
    """Return the archives, in their order, by call. What is stored does not depend on it."""
    share = min(FULL, sum(map(work_of, archives)) / (ROUNDS * n_workers))
    found: list[list[Archive]] = []
    filled = share
    for archive in archives:
        filled += work_of(archive)
        if filled > share * (1 + 1e-9) or len(found[-1]) == MOST:
            found.append([])
            filled = work_of(archive)
        found[-1].append(archive)
    return [tuple(batch) for batch in found]


def called(call: tuple[Archive, ...]) -> str:
    """Return what the dashboard shows for a call."""
    first, last = f"{call[0].symbol} {call[0].label}", f"{call[-1].symbol} {call[-1].label}"
    return f"download {first}" + (f" to {last}" if len(call) > 1 else "")
