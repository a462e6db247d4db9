"""From the parts that a run gathered to what is known of each symbol: the days that were asked for, and their facts."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from services.download.domain.certificate import Evidence
from services.download.domain.findings import Day, Source, kline_days, source_of, trade_day
from services.download.domain.series import Series
from services.download.domain.voids import in_records
from tickloom.contracts.artifact import Part
from tickloom.contracts.download import INTERVAL_US, DownloadRequest, days

_NOTHING: Final = {"duplicates": 0, "out_of_order": 0}
"""What a mended day keeps of its source's record."""


def evidence_of(
    symbol: str,
    request: DownloadRequest,
    parts: Sequence[Part],
    comparisons: Mapping[str, Mapping[str, Any]] | None = None,
    series: Series | None = None,
) -> Evidence:
    """Return what is known of a symbol.

    parts        all that were gathered, those of other symbols too; a later one replaces the days of an earlier one
    comparisons  with the official klines, by month
    series       what repairs took from other sources, and the days that they made again
    """
    records = []
    known: dict[date, tuple[Mapping[str, Any], Source]] = {}
    for part in parts:
        if not any(entry.name.startswith(f"{symbol}/") for entry in part.files):
            continue
        records.append(part.facts["quality"])
        source = source_of(part.facts["quality"])
        for name, facts in part.facts["quality"]["days"].items():
            known[date.fromisoformat(name)] = (facts, source)
    for day, facts in (series.mended if series is not None else {}).items():
        before, source = known.get(day, (_NOTHING, Source("REST", False, 0, 0, 0, 0, 0)))
        known[day] = ({**facts, **{name: before[name] for name in _NOTHING}}, source)
    corrections = series.account() if series is not None else ()
    wanted = _wanted(request, sorted(known))
    is_import = request.venue == "file"
    if request.interval is None:
        found = [trade_day(day, *known[day]) if day in known else Day(day) for day in wanted]
    else:
        facts_by_day = {day: facts for day, (facts, _) in known.items()}
        found = kline_days(
            wanted,
            facts_by_day,
            {day: source for day, (_, source) in known.items()},
            INTERVAL_US[request.interval],
            whole=not is_import,
        )
    voids = in_records(records)
    return Evidence(symbol, found, request.interval is not None, is_import, comparisons, corrections, voids)


def _wanted(request: DownloadRequest, seen: Sequence[date]) -> list[date]:
    """Return the days asked for. Of a file that was imported: from the first that it has to the last."""
    if request.venue == "file":
        return days(seen[0], seen[-1]) if seen else []
    return days(request.first_day(), request.last_day())
