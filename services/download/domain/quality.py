"""What is known about a source after it was read: the record that travels with everything made from it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from services.download.domain.gaps import Gaps
from services.download.domain.series import Series
from tickloom.contracts.artifact import FileEntry

DROPPED = ("sentinel", "other_day", "duplicate")


@dataclass
class Quality:
    """One archive's or file's record, filled while it is read."""

    source: str
    served_sha256: str
    computed_sha256: str
    bytes: int
    has_header: bool = False
    n_lines: int = 0
    n_milliseconds: int = 0
    rows: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DROPPED, 0))
    counts: dict[str, int] = field(default_factory=dict)
    id_gaps: Gaps = field(default_factory=Gaps)
    time_gaps: Gaps = field(default_factory=Gaps)
    missing_days: list[str] = field(default_factory=list)
    shared_days: list[str] = field(default_factory=list)
    void_ids: list[list[int]] = field(default_factory=list)  # runs, each by its first and its last
    days: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add_counts(self, counts: dict[str, int]) -> None:
        """Add what was counted while a day was put in order."""
        for name, count in counts.items():
            if name == "duplicates_dropped":
                self.dropped["duplicate"] += count
            else:
                self.counts[name] = self.counts.get(name, 0) + count

    def unit(self) -> str:
        """Return the unit of the source's times: ms, us, or mixed."""
        read = self.n_lines - self.has_header
        return "none" if not read else "ms" if self.n_milliseconds == read else "mixed" if self.n_milliseconds else "us"

    def record(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {
            "source": self.source,
            "served_sha256": self.served_sha256,
            "computed_sha256": self.computed_sha256,
            "bytes": self.bytes,
            "header": self.has_header,
            "time_unit": self.unit(),
            "rows_read": self.n_lines - self.has_header,
            "rows": self.rows,
            "dropped": self.dropped,
            "counts": self.counts,
            "id_gaps": self.id_gaps.facts(),
            "time_gaps": self.time_gaps.facts(),
            "missing_days": self.missing_days,
            "days_with_ids_of_the_day_before": self.shared_days,
            "void_ids": self.void_ids,
            "days": self.days,
        }


def summary(
    records: list[dict[str, Any]], missing: dict[str, list[date]], series: Collection[Series], rows: int
) -> dict[str, Any]:
    """Return the records of an artifact in one: what a reader of its manifest sees first.

    records  of all its archives
    missing  days without a row, by symbol
    series   of symbols whose trades were put right: they tell what holds of the artifact, not of its archives
    rows     of the artifact's files: those of days that were left out are not among them
    """
    dropped = {name: sum(record["dropped"][name] for record in records) for name in DROPPED}
    counts: dict[str, int] = {}
    for record in records:
        for name, count in record["counts"].items():
            counts[name] = counts.get(name, 0) + count
    corrected = [one for symbol in series for one in symbol.corrections]
    by_rest = [one for one in corrected if one.by == "rest"]
    repaired = {symbol.symbol: symbol.days_lacking_in_months() for symbol in series}
    return {
        "sources": len(records),
        "verified": sum(record["served_sha256"] == record["computed_sha256"] for record in records),
        "rows_read": sum(record["rows_read"] for record in records),
        "rows": rows,
        "dropped": dropped,
        **counts,
        "id_gaps": sum(symbol.open_gaps for symbol in series) if series else _in_all(records, "id_gaps", "count"),
        "ids_missing": sum(one.ids_missing for one in by_rest) if series else _in_all(records, "id_gaps", "missing"),
        "ids_unknown": sum(one.ids_unknown for one in by_rest),
        "ids_filled": sum(one.ids_filled for one in corrected),
        "time_gaps": _in_all(records, "time_gaps", "count"),
        "compared_days": sum(len(symbol.compared) for symbol in series),
        "corrected_days": len(
            {(symbol.symbol, one.day) for symbol in series for one in symbol.corrections if one.is_change}
        ),
        "missing_days": {symbol: [day.isoformat() for day in gone] for symbol, gone in missing.items() if gone},
        "repaired_days": {symbol: [day.isoformat() for day in days] for symbol, days in repaired.items() if days},
    }


def symbol_facts(
    symbol: str, files: Iterable[FileEntry], comparisons: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what an artifact's manifest says of one symbol, whose partitions are among `files`.

    comparisons  with the official klines, by month, as domain/minutes.py reports them
    """
    entries = [entry for entry in files if entry.name.startswith(f"{symbol}/")]
    if not entries:
        return {"rows": 0}
    last = comparisons[max(comparisons)] if comparisons else {}
    known = {"known_until": last["known_until"]} if "known_until" in last else {}
    return {
        "partitions": len(entries),
        "rows": sum(entry.rows or 0 for entry in entries),
        "first_ts": min(entry.facts["first_ts"] for entry in entries),
        "last_ts": max(entry.facts["last_ts"] for entry in entries),
        "price_scale": max(entry.facts["price_scale"] for entry in entries),
        "quantity_scale": max(entry.facts["quantity_scale"] for entry in entries),
        **known,
    }


def _in_all(records: list[dict[str, Any]], kind: str, what: str) -> int:
    return sum(record[kind][what] for record in records)
