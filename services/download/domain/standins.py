"""Daily archives in place of a monthly one that cannot be used: only where they are all there, and on record."""

from collections.abc import Mapping

from services.download.domain.archives import Archive
from services.download.domain.errors import BadSource
from services.download.domain.series import Series
from tickloom.contracts.artifact import Part


def check_standins(unusable: Mapping[Archive, BadSource], found: Mapping[Archive, Part | None]) -> None:
    """Raise what is wrong with a month unless, from the first on, the exchange has a daily archive for each day of it.

    found  what there is of the archives that were asked for, the days of these months among them
    """
    for month, error in unusable.items():
        there = [found[daily] is not None for daily in month.dailies()]
        if not any(there) or not all(there[there.index(True) :]):
            raise error


def note_standins(
    unusable: Mapping[Archive, BadSource], found: Mapping[Archive, Part | None], series: Mapping[str, Series]
) -> None:
    """Put on record which days of trades were taken from a daily archive for what is wrong with the monthly one."""
    for month, error in unusable.items():
        parts = [part for daily in month.dailies() if (part := found[daily]) is not None]
        for part in parts if month.data_type != "klines" else ():
            series[month.symbol].stand_in(part, f"the monthly archive cannot be used ({error.code()})")
