"""Klines of monthly archives held against the daily ones, by opening time: where they differ, both make the day."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from services.download.adapters.ingest import Source, store_klines
from services.download.domain import klines
from services.download.domain.archives import Archive
from services.download.domain.corrections import Correction, Difference
from services.download.domain.gaps import Gaps
from services.download.domain.layouts import Layout, layout_of
from services.download.domain.quality import Quality
from services.download.domain.series import Series
from services.download.domain.suspicion import doubtful_klines
from services.download.domain.times import DAY_US, day_of
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.contracts.download import INTERVAL_US
from tickloom.fanout import Task
from tickloom.kernel import I64
from tickloom.lake import Lake, units


def unite(lake: Lake, month: Archive, monthly: Part, dailies: Sequence[Part]) -> tuple[dict[date, Difference], Part]:
    """Hold days of a month's klines against daily archives; return how they differ, and what the month is then.

    Differences are of bars, by opening time: `only_monthly`, `only_daily` and `different`; days without any are left
    out. The month has every opening time of both; of bars that differ the daily archive's. The record among its part's
    facts is the month's own, but for what it says of rows, days and gaps.
    """
    layout = layout_of(month.market, month.data_type)
    ours, others = (
        _rows(lake, [entry for part in parts for entry in part.files], layout) for parts in ([monthly], dailies)
    )
    at = layout.slots["ts_open"]
    differing = _differences(ours, others, at)
    if not differing:
        return {}, monthly
    rows = np.concatenate([others, ours[~np.isin(ours[:, at], others[:, at])]])
    return differing, _stored(lake, month, monthly, rows[np.argsort(rows[:, at])], layout)


def _stored(lake: Lake, month: Archive, monthly: Part, rows: I64, layout: Layout) -> Part:
    """Store a month's rows, in order, in place of those that it has."""
    source = Source(month.stem, month.symbol, layout, month.interval, month.first, month.last, month.stem)
    numbers, quality = np.unique(rows[:, layout.slots["ts_open"]] // DAY_US).tolist(), Quality(month.stem, "", "", 0)
    files = list(store_klines(lake, source, numbers, lambda _: rows, quality))
    record = monthly.facts["quality"]
    now = {name: quality.record()[name] for name in ("rows", "days", "time_gaps")}
    now["counts"] = record["counts"] | {"misaligned": quality.counts["misaligned"]}
    files += [entry for entry in monthly.files if entry.rows is None]
    facts = {"days": [day_of(number).isoformat() for number in numbers], "quality": record | now}
    return Part(files=tuple(files), facts=facts)


def _rows(lake: Lake, entries: Sequence[FileEntry], layout: Layout) -> I64:
    """Return the klines of partitions as `klines.settle` takes them, (n, layout.width)."""
    found = [np.empty((0, layout.width), np.int64)]
    for entry in entries:
        if entry.rows is None:  # the record
            continue
        table, columns, scales = lake.read_table(entry), {}, {}
        for name in layout.slots:
            column = table[name]
            if name in ("ts_open", "n_trades"):
                columns[name] = np.asarray(column.to_numpy(), np.int64)
            else:
                columns[name], scales[name] = units(column)
        found.append(klines.as_rows(columns, scales, layout))
    return np.concatenate(found)


def _differences(monthly: I64, daily: I64, at: int) -> dict[date, Difference]:
    """Compare the days that daily archives have, bar by bar: rows whose decimals are in their shortest form."""
    found = {}
    for number in np.unique(daily[:, at] // DAY_US).tolist():
        ours, others = (rows[rows[:, at] // DAY_US == number] for rows in (monthly, daily))
        both, here, there = np.intersect1d(ours[:, at], others[:, at], assume_unique=True, return_indices=True)
        different = int((ours[here] != others[there]).any(axis=1).sum())
        one = Difference(len(ours) - both.size, len(others) - both.size, different)
        if one != Difference(0, 0, 0):
            found[day_of(number)] = one
    return found


@dataclass(frozen=True)
class KlineDailies:
    """Looks at the days in doubt of months of klines.

    compare  as in the request
    fetch    returns archives' parts, None where there is no archive
    each     runs tasks, and yields what they return as they finish
    """

    lake: Lake
    compare: str
    fetch: Callable[[list[Archive]], Mapping[Archive, Part | None]]
    each: Callable[..., Iterator[tuple[int, Any]]]

    def settle(self, months: Mapping[Archive, Part], series: Mapping[str, Series]) -> dict[Archive, list[Part]]:
        """Tell `series` what was found; return the months that are others since, with the daily archives' records."""
        doubts = {
            month: doubtful_klines(part.facts["quality"], INTERVAL_US[month.interval], self.compare)
            for month, part in months.items()
        }
        found = self.fetch([month.daily(day) for month, days in doubts.items() for day in days])
        wanted = {}
        for month, days in doubts.items():
            parts = {day: part for day in days if (part := found[month.daily(day)]) is not None and part.facts["days"]}
            series[month.symbol].compared += parts
            if parts:
                wanted[month] = parts
        tasks = [
            Task(f"download {month.stem} beside its days", unite, (self.lake, month, months[month], [*parts.values()]))
            for month, parts in wanted.items()
        ]
        settled = {}
        size = sum(entry.bytes for month in wanted for entry in months[month].files)
        for index, (differing, united) in self.each(tasks, size):
            month = list(wanted)[index]
            if differing:
                settled[month] = [united, *(_record_alone(wanted[month][day]) for day in differing)]
                old, new = (part.facts["quality"]["days"] for part in (months[month], united))
                series[month.symbol].corrections += [
                    _correction(day, doubts[month][day], differs, old, new) for day, differs in differing.items()
                ]
        return settled


def _correction(
    day: date, why: Sequence[str], differs: Difference, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Correction:
    before, after = (days[day.isoformat()]["rows"] for days in (old, new))
    why = why or ["it differs from the monthly archive"]
    return Correction(day, "daily", list(why), before, after, differs.only_daily, beside=differs)


def _record_alone(part: Part) -> Part:
    """Return a part of which the record counts, and no bar: they are in the month's."""
    record = part.facts["quality"] | {"days": {}, "rows": 0, "counts": {}, "time_gaps": Gaps().facts()}
    return Part(files=tuple(entry for entry in part.files if entry.rows is None), facts={"days": [], "quality": record})
