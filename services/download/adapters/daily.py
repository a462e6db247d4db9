"""Days of monthly archives held against the daily ones: where they differ, the day is put together of both."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.download.adapters.mend import beside
from services.download.domain.archives import Archive
from services.download.domain.series import Series, voids_of
from tickloom.contracts.artifact import Part
from tickloom.fanout import Task
from tickloom.lake import Lake


@dataclass(frozen=True)
class Doubt:
    """A day of a monthly archive that is to be looked at in the daily one, and why."""

    series: Series
    day: date
    why: Sequence[str]

    @property
    def archive(self) -> Archive:
        """Return the daily archive."""
        return self.series.monthly[self.day]


@dataclass(frozen=True)
class Dailies:
    """Looks at days in doubt.

    kind   market and data type
    fetch  returns archives' parts, None where there is no archive
    each   runs tasks, and yields what they return as they finish
    """

    lake: Lake
    kind: tuple[str, str]
    fetch: Callable[[list[Archive]], Mapping[Archive, Part | None]]
    each: Callable[..., Iterator[tuple[int, Any]]]

    def settle(self, doubts: Sequence[Doubt]) -> list[Part]:
        """Put the days right in their series; return the parts of the daily archives that something was taken of."""
        parts = self.fetch([doubt.archive for doubt in doubts])
        differing = [
            (doubt, part, entry)
            for doubt in doubts
            if (part := parts[doubt.archive]) is not None
            and (entry := doubt.series.differing(doubt.day, part)) is not None
        ]
        tasks = [
            Task(
                f"download {entry.name} compared with its day",
                beside,
                (
                    *(self.lake, doubt.day, self.kind, doubt.series.entries[doubt.day], entry),
                    (voids_of(part), doubt.series.voids),
                ),
            )
            for doubt, part, entry in differing
        ]
        for index, (differs, united) in self.each(tasks, sum(entry.bytes for *_, entry in differing)):
            doubt, _, entry = differing[index]
            doubt.series.prefer(entry, doubt.why, differs, united)
        return [part for _, part, _ in differing]
