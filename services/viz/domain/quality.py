"""What the download found out about its sources, in plain words and one table."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.viz.domain.words import plural, size, span

Record = Mapping[str, Any]
Line = dict[str, str]
DAY_US = 86_400_000_000
COLUMNS = ("Source", "SHA-256", "Size", "Times in", "Rows read", "Kept", "Dropped", "Id gaps", "Time gaps", "Longest")
REASONS = {
    "sentinel": ("placeholder row of the exchange", "placeholder rows of the exchange"),
    "other_day": ("row of another day", "rows of another day"),
    "duplicate": ("row that came twice", "rows that came twice"),
}
LISTED_DAYS = 12


def quality(
    records: Sequence[Record],
    summary: Record,
    are_klines: bool = False,
    corrections: Mapping[str, Sequence[Record]] | None = None,
) -> dict[str, Any]:
    """Return sentences and a table about the sources.

    records      one for each source file, as the download stage writes them under quality/
    summary      the download's own account of all of them, for the days that are missing or were repaired
    corrections  its account of days that daily archives or REST put right, and of ids that are missing still

    Klines have no ids, and their gaps are counted in bars; the silences between trades are measured in microseconds.
    """
    if not records:
        text = "The download left no record of its sources, so nothing can be said about their quality."
        return {"sentences": [_line(text, "bad")], "columns": COLUMNS, "rows": []}
    sentences = [
        _checksums(records),
        _rows(records, summary),
        _kline_gaps(records) if are_klines else _id_gaps(records),
        *_order(records),
        *_days(summary.get("missing_days", {}), "No data at all for", "bad"),
        *_days(summary.get("repaired_days", {}), "Taken from daily files because the monthly one lacks them:", "good"),
        *_unusable(summary.get("unusable_archives", {})),
        *(line for symbol, account in (corrections or {}).items() for line in _corrected(symbol, account)),
    ]
    return {"sentences": sentences, "columns": COLUMNS, "rows": [_row(record, are_klines) for record in records]}


def _unusable(archives: Mapping[str, str]) -> list[Line]:
    """Tell which monthly archives cannot be used, and why: daily ones stand in for them."""
    return [
        _line(f"{name} cannot be used ({why}): its days are those of the daily files.", "bad")
        for name, why in archives.items()
    ]


def _line(text: str, tone: str) -> Line:
    return {"text": text, "tone": tone}


def _checksums(records: Sequence[Record]) -> Line:
    n = len(records)
    matching = sum(_is_verified(record) for record in records)
    if matching == n:
        what = "The source file matches" if n == 1 else f"All {n:,} source files match"
        return _line(f"{what} the SHA-256 that was published or pinned for {'it' if n == 1 else 'them'}.", "good")
    return _line(f"{n - matching:,} of {plural(n, 'source file')} could not be checked against a SHA-256.", "bad")


def _is_verified(record: Record) -> bool:
    served = record.get("served_sha256")
    return bool(served) and served == record.get("computed_sha256")


def _rows(records: Sequence[Record], summary: Record) -> Line:
    """Rows of a monthly archive for which a daily one counts were read, and not kept; those of REST are kept."""
    read, kept = (sum(int(record.get(name, 0)) for record in records) for name in ("rows_read", "rows"))
    kept = int(summary.get("rows", kept))
    totals: dict[str, int] = {}
    for record in records:
        for reason, count in record.get("dropped", {}).items():
            totals[reason] = totals.get(reason, 0) + int(count)
    dropped = [plural(count, *REASONS.get(reason, (reason, reason))) for reason, count in totals.items() if count]
    if not dropped:
        return _line(f"{plural(read, 'row')} read, {kept:,} kept, none dropped.", "good")
    return _line(f"{plural(read, 'row')} read, {kept:,} kept; dropped: {', '.join(dropped)}.", "bad")


def _id_gaps(records: Sequence[Record]) -> Line:
    return _gaps(records, "id_gaps", "No id is missing between the first and the last of a file.", _id_gap_text)


def _kline_gaps(records: Sequence[Record]) -> Line:
    return _gaps(records, "time_gaps", "No bar is missing between the first and the last.", _missing_bars_text)


def _gaps(records: Sequence[Record], kind: str, none: str, text: Any) -> Line:
    gaps = [record.get(kind, {}) for record in records]
    count = sum(int(gap.get("count", 0)) for gap in gaps)
    if not count:
        return _line(none, "good")
    missing = sum(int(gap.get("missing", 0)) for gap in gaps)
    return _line(text(count, missing, max(int(gap.get("longest", 0)) for gap in gaps)), "bad")


def _id_gap_text(count: int, missing: int, longest: int) -> str:
    return f"{plural(count, 'gap')} in the ids: {missing:,} missing, {longest:,} in the longest."


def _missing_bars_text(count: int, missing: int, longest: int) -> str:
    return f"{plural(count, 'gap')} between bars: {missing:,} missing, {longest:,} in the longest."


def _order(records: Sequence[Record]) -> list[Line]:
    totals: dict[str, int] = {}
    for record in records:
        for name, count in record.get("counts", {}).items():
            totals[name] = totals.get(name, 0) + int(count)
    found = [f"{name.replace('_', ' ')} {count:,}" for name, count in totals.items() if count]
    return [_line(f"Counted while the rows were put in order: {', '.join(found)}.", "")] if found else []


def _days(by_symbol: Mapping[str, Sequence[str]], before: str, tone: str) -> list[Line]:
    lines = []
    for symbol, days in by_symbol.items():
        lines.append(_line(f"{before} {symbol}: {_list(days)}.", tone))
    return lines


def _corrected(symbol: str, account: Sequence[Record]) -> list[Line]:
    """Tell what was put right in a symbol's days, and which ids are missing after that."""
    lines = []
    if other := [one for one in account if one["by"] == "daily" and one["rows_before"]]:
        differs = {name: sum(one[name] for one in other) for name in ("only_daily", "only_monthly", "differs")}
        text = (
            f"{symbol}: on {plural(len(other), 'day')} the daily archive differs from the monthly one, and both make "
            f"the day: {differs['only_daily']:,} rows are in the daily one alone, {differs['only_monthly']:,} in the "
            f"monthly one alone, {differs['differs']:,} differ and are the daily one's "
            f"({_list([one['day'] for one in other])})."
        )
        lines.append(_line(text, "good"))
    by_rest = [one for one in account if one["by"] == "rest"]
    if filled := [one for one in by_rest if one["ids_filled"]]:
        total = sum(one["ids_filled"] for one in filled)
        text = f"{symbol}: {plural(total, 'id')} missing from all archives came from the exchange's REST API"
        lines.append(_line(f"{text} ({_list([one['day'] for one in filled])}).", "good"))
    if left := [one for one in by_rest if one["ids_missing"]]:
        total = sum(one["ids_missing"] for one in left)
        reasons = dict.fromkeys(reason for one in left for reason in one["why"].split("; "))
        text = f"{symbol}: {plural(total, 'id')} missing still ({_list([one['day'] for one in left])})"
        lines.append(_line(f"{text}: {'; '.join(reasons)}.", "bad"))
    return lines


def _list(days: Sequence[str]) -> str:
    rest = f" and {len(days) - LISTED_DAYS} more" if len(days) > LISTED_DAYS else ""
    return ", ".join(days[:LISTED_DAYS]) + rest


def _row(record: Record, are_klines: bool) -> list[dict[str, str]]:
    verified = _is_verified(record)
    dropped = {reason: int(count) for reason, count in record.get("dropped", {}).items() if count}
    ids, times = record.get("id_gaps", {}), record.get("time_gaps", {})
    longest = int(times.get("longest", 0))
    served, computed = record.get("served_sha256") or "none", record.get("computed_sha256") or "unknown"
    return [
        _cell(str(record.get("source", "")), hint=str(record.get("source", ""))),
        _cell(
            f"{computed[:8]} {'✓' if verified else 'unchecked'}",
            f"published {served}, computed {computed}",
            not verified,
        ),
        _cell(size(int(record.get("bytes", 0)))),
        _cell(
            {"ms": "milliseconds", "us": "microseconds"}.get(
                record.get("time_unit", ""), str(record.get("time_unit", ""))
            )
        ),
        _cell(f"{int(record.get('rows_read', 0)):,}"),
        _cell(f"{int(record.get('rows', 0)):,}"),
        _cell(f"{sum(dropped.values()):,}", ", ".join(f"{k} {v:,}" for k, v in dropped.items()), bool(dropped)),
        _cell(
            "–" if are_klines else f"{int(ids.get('count', 0)):,}",
            f"{int(ids.get('missing', 0)):,} missing",
            bool(ids.get("count")),
        ),
        _cell(f"{int(times.get('count', 0)):,}", "", bool(times.get("count"))),
        _cell("–" if not longest else plural(longest, "bar") if are_klines else span(longest / DAY_US)),
    ]


def _cell(text: str, hint: str = "", is_bad: bool = False) -> dict[str, str]:
    return {"text": text, "hint": hint, "tone": "bad" if is_bad else ""}
