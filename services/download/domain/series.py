"""A symbol's days of trades as they stand while they are put right: partitions, gaps, and the account of changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Final

import numpy as np

from services.download.domain.archives import Archive
from services.download.domain.corrections import UNKNOWN, Correction, Difference, Gap, Outcome, Span
from services.download.domain.suspicion import MISSING_ID, DayFacts, notes_of, suspicions
from services.download.domain.voids import NONE, between, in_records, reach
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.kernel import I64

NO_ROWS: Final = "the monthly archive has no row of it"
_A_DAY: Final = timedelta(days=1)


@dataclass
class Series:
    """The days of one symbol; of klines, what was compared and corrected alone.

    entries      the partition that stands for each day
    monthly      the daily archive of each day that was read from a monthly one
    compared     days of monthly archives that a daily one was found for
    corrections  of days so far
    open_gaps    gaps of ids that are left
    mended       what a record would say of the days that were made again
    voids        ids of void rows, increasing: no trade of them is missing
    """

    symbol: str
    entries: dict[date, FileEntry] = field(default_factory=dict)
    monthly: dict[date, Archive] = field(default_factory=dict)
    compared: list[date] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    open_gaps: int = 0
    mended: dict[date, dict[str, Any]] = field(default_factory=dict)
    voids: I64 = field(default_factory=lambda: NONE)
    _notes: dict[date, tuple[str, ...]] = field(default_factory=dict)

    def take(self, archive: Archive, part: Part) -> None:
        """Take the days of an archive that was read as planned."""
        entries = _partitions(part)
        self.entries |= entries
        if archive.monthly:
            self.monthly |= {day: archive.daily(day) for day in entries}
        self._notes |= notes_of(part.facts["quality"])
        self._learn(part)

    def _learn(self, part: Part) -> None:
        self.voids = np.union1d(self.voids, voids_of(part))

    def take_daily(self, part: Part, month: Part | None) -> None:
        """Take the day of a daily archive in place of a month that has no archive, or whose archive lacks the day."""
        self._learn(part)
        for day, entry in _partitions(part).items():
            self.entries[day] = entry
            if month is not None:
                self.corrections.append(self._by_daily(day, [NO_ROWS], 0, Difference(0, _rows(entry), 0)))

    def note_lacking(self, part: Part) -> None:
        """Note the days of klines that a daily archive has and the month's lacks."""
        for name, facts in part.facts["quality"]["days"].items():
            rows = facts["rows"]
            beside = Difference(0, rows, 0)
            self.corrections.append(
                Correction(date.fromisoformat(name), "daily", [NO_ROWS], 0, rows, rows, beside=beside)
            )

    def doubts(self, compare: str) -> dict[date, list[str]]:
        """Return the days of monthly archives to look at in the daily ones, and why. `compare` as in the request."""
        if compare == "none":
            return {}
        days = [self._facts(day) for day in sorted(self.entries)]
        doubts = suspicions(days)
        wanted = self.monthly if compare == "all" else self.monthly.keys() & doubts.keys()
        return {day: doubts.get(day, []) for day in sorted(wanted)}

    def differing(self, day: date, part: Part) -> FileEntry | None:
        """Note that a day was compared; return the daily archive's partition if it is not the one that stands.

        A daily archive without a row says nothing.
        """
        entry = _partitions(part).get(day)
        if entry is None:
            return None
        self.compared.append(day)
        self._learn(part)
        return entry if entry.sha256 != self.entries[day].sha256 else None

    def prefer(self, entry: FileEntry, why: Sequence[str], differs: Difference, united: Part | None) -> None:
        """Let a daily archive's partition stand for its day; or what it was united to with rows that it lacks."""
        day, before = _day(entry), _rows(self.entries[_day(entry)])
        self.mended.pop(day, None)
        if united is not None:
            entry, self.mended[day] = united.files[0], united.facts["record"]
        self.entries[day] = entry
        self.corrections.append(self._by_daily(day, why, before, differs))

    def holed(self) -> list[tuple[FileEntry, list[FileEntry]]]:
        """Return the partitions that lack ids, each with those of the days around whose ids lie among its own.

        Those that lack ids of void rows alone are among them.
        """
        found = []
        for day, entry in sorted(self.entries.items()):
            if entry.facts["last_id"] - entry.facts["first_id"] + 1 > _rows(entry):
                around = (self.entries.get(day + step * _A_DAY) for step in (-1, 1))
                found.append((entry, [other for other in around if other is not None and _overlap(entry, other)]))
        return found

    def inside(self, entry: FileEntry, holes: Sequence[tuple[int, int]]) -> list[Gap]:
        """Return the holes in a partition as gaps."""
        day = _day(entry)
        return [Gap(self.symbol, day, after, before, day, day) for after, before in holes]

    def between(self) -> list[Gap]:
        """Return the gaps between days: each is of the day after the trade before it."""
        found = []
        for (first, a), (last, b) in pairwise(sorted(self.entries.items())):
            ends = a.facts["last_id"], b.facts["first_id"]
            ids = [ends[0], *between(self.voids, *ends).tolist(), ends[1]]
            holes = [(after, before) for after, before in pairwise(ids) if before > after + 1]
            found += [Gap(self.symbol, first + _A_DAY, *hole, first, last) for hole in holes]
        return found

    def overlapping(self) -> list[tuple[FileEntry, FileEntry]]:
        """Return the pairs of days whose ids lie among each other: one of them may have an id that the other has."""
        found, open_before = [], list[FileEntry]()
        for entry in sorted(self.entries.values(), key=lambda entry: (entry.facts["first_id"], _day(entry))):
            open_before = [other for other in open_before if other.facts["last_id"] >= entry.facts["first_id"]]
            found += [(other, entry) for other in open_before]
            open_before.append(entry)
        return found

    def touched(self, span: Span) -> dict[date, FileEntry]:
        """Return the partitions of the days that trades of a span may be of, in order."""
        first, last = span.gaps[0].first_day - _A_DAY, span.gaps[-1].last_day + _A_DAY
        return {day: entry for day, entry in sorted(self.entries.items()) if first <= day <= last}

    def mend(self, gaps: Mapping[Gap, Outcome], parts: Mapping[date, Part]) -> None:
        """Take the days that were made again, and note what became of every gap."""
        mended = {day: part.files[0] for day, part in parts.items()}
        self.mended |= {day: part.facts["record"] for day, part in parts.items()}
        noted: dict[date, Correction] = {}
        for day in sorted({gap.day for gap in gaps} | mended.keys()):
            before = _rows(self.entries[day]) if day in self.entries else 0
            after = _rows(mended[day]) if day in mended else before
            noted[day] = Correction(day, "rest", [MISSING_ID], before, after, ids_filled=after - before)
        for gap, outcome in gaps.items():
            one = noted[gap.day]
            one.ids_missing += gap.missing - outcome.filled
            one.ids_unknown += outcome.unknown
            one.why += [UNKNOWN] if outcome.unknown else []
            one.why += [outcome.why] if outcome.why else []
        self.entries |= mended
        self.corrections += noted.values()
        self.open_gaps = sum(gap.missing > outcome.filled for gap, outcome in gaps.items())

    def _facts(self, day: date) -> DayFacts:
        entry, notes = self.entries[day], self._notes.get(day, ())
        ids, ts = ((entry.facts[f"first_{of}"], entry.facts[f"last_{of}"]) for of in ("id", "ts"))
        void, reached = between(self.voids, *ids).size, reach(self.voids, ids[1])
        return DayFacts(day, _rows(entry), *ids, *ts, notes, void, reached)

    def _by_daily(self, day: date, why: Sequence[str], before: int, differs: Difference) -> Correction:
        why, now = why or ["it differs from the monthly archive"], self._facts(day)
        return Correction(day, "daily", list(why), before, now.rows, differs.only_daily, now.missing, beside=differs)

    def days_lacking_in_months(self) -> list[date]:
        """Return the days that daily archives have and monthly ones do not."""
        return [one.day for one in self.corrections if one.by == "daily" and one.why == [NO_ROWS]]

    def stand_in(self, part: Part, why: str) -> None:
        """Take the day of a daily archive, and note that it stands in for a month whose archive cannot be used."""
        so_far = len(self.corrections)
        self.take_daily(part, month=part)
        for one in self.corrections[so_far:]:
            one.why = [why]

    def account(self) -> list[dict[str, Any]]:
        """Return the corrections as JSON values, by day and then by source."""
        return [one.facts() for one in sorted(self.corrections, key=lambda one: (one.day, one.by))]


def voids_of(part: Part) -> I64:
    """Return the ids of void rows in what was made of an archive, increasing."""
    return in_records([part.facts["quality"]])


def _partitions(part: Part) -> dict[date, FileEntry]:
    return {_day(entry): entry for entry in part.files if "day" in entry.facts}


def _day(entry: FileEntry) -> date:
    return date.fromisoformat(entry.facts["day"])


def _rows(entry: FileEntry) -> int:
    return entry.rows or 0


def _overlap(a: FileEntry, b: FileEntry) -> bool:
    return bool(a.facts["first_id"] <= b.facts["last_id"] and b.facts["first_id"] <= a.facts["last_id"])
