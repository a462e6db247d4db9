"""What is known about a source after it was read: the record that travels with everything made from it."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from services.download.domain.gaps import Gaps

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
        }


def summary(
    records: list[dict[str, Any]], missing: dict[str, list[date]], repaired: dict[str, list[date]]
) -> dict[str, Any]:
    """Return the records of an artifact in one: what a reader of its manifest sees first.

    records   of all its archives
    missing   days without a row, by symbol
    repaired  days taken from a daily archive because the monthly one lacks them, by symbol
    """
    dropped = {name: sum(record["dropped"][name] for record in records) for name in DROPPED}
    counts: dict[str, int] = {}
    for record in records:
        for name, count in record["counts"].items():
            counts[name] = counts.get(name, 0) + count
    return {
        "sources": len(records),
        "verified": sum(record["served_sha256"] == record["computed_sha256"] for record in records),
        "rows_read": sum(record["rows_read"] for record in records),
        "rows": sum(record["rows"] for record in records),
        "dropped": dropped,
        **counts,
        "id_gaps": sum(record["id_gaps"]["count"] for record in records),
        "ids_missing": sum(record["id_gaps"]["missing"] for record in records),
        "time_gaps": sum(record["time_gaps"]["count"] for record in records),
        "missing_days": {symbol: [day.isoformat() for day in gone] for symbol, gone in missing.items() if gone},
        "repaired_days": {symbol: [day.isoformat() for day in days] for symbol, days in repaired.items() if days},
    }
