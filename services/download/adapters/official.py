"""Days of trades held against the exchange's official 1-minute klines, a month at a time."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from services.download.domain.archives import Archive
from services.download.domain.series import Series
from tickloom.contracts.artifact import FileEntry
from tickloom.fanout import Task


@dataclass
class OfficialBars:
    """Compares months, and keeps what was found.

    kind  market and data type
    task  of a month's klines, its days of trades, and the days whose daily klines count: as remote.compare_month
    each  runs tasks, and yields what they return as they finish

    comparisons  by symbol and month, as domain/minutes.py reports them
    archives     of klines that were used, path -> SHA-256
    """

    kind: tuple[str, str]
    task: Callable[[Archive, tuple[FileEntry, ...], tuple[date, ...]], Task[Any]]
    each: Callable[..., Iterator[tuple[int, Any]]]
    say: Callable[[str], None]
    comparisons: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    archives: dict[str, str] = field(default_factory=dict)

    def compare(self, series: Collection[Series], again: Collection[tuple[str, date]] | None = None) -> None:
        """Compare the days of some symbols.

        again  symbols and days that turned out different: their months alone are compared, and of these days the daily
               klines count, where there are any
        """
        months: dict[Archive, list[FileEntry]] = {}
        for one in series:
            for day, entry in sorted(one.entries.items()):
                month = Archive(self.kind[0], "klines", "1m", one.symbol, day.replace(day=1), True)
                months.setdefault(month, []).append(entry)
        closely = {
            month: tuple(day for symbol, day in sorted(again or ()) if (symbol, day.replace(day=1)) == of)
            for month in months
            for of in [(month.symbol, month.first)]
        }
        wanted = [month for month in months if again is None or closely[month]]
        tasks = [self.task(month, tuple(months[month]), closely[month]) for month in wanted]
        for index, (compared, klines) in self.each(tasks):
            month = wanted[index]
            self.archives |= klines
            self.comparisons.setdefault(month.symbol, {})[month.label] = compared
            self.say(f"{month.symbol} {month.label}: held against the official klines")
