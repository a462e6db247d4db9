"""The quality certificate of a symbol and month: its checks, a grade from A to F, what fixed it, and a grade a day."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import groupby
from typing import Any

from services.download.domain.checks import PASSED, Check, Period, run_checks
from services.download.domain.findings import Day, joined, with_silences
from services.download.domain.grades import worst
from services.download.domain.voids import NONE
from tickloom.kernel import I64


@dataclass(frozen=True)
class Certificate:
    """What is known of the quality of a symbol's month, or of the days of it that were asked for."""

    symbol: str
    month: str
    first: date
    last: date
    rows: int
    checks: Sequence[Check]
    days: Mapping[date, Sequence[Check]]  # only those that fix a day's grade below A
    left_out: Sequence[date] = ()  # by the request, for their grade; the certificate is of what remains
    found: str = ""  # the grade before that
    comparison: Mapping[str, Any] | None = None

    @property
    def grade(self) -> str:
        """Return the worst letter of its checks."""
        return worst(*(check.grade for check in self.checks))

    @property
    def reasons(self) -> list[str]:
        """Return the sentences of the checks that fixed the grade; none for an A."""
        return _reasons(self.checks)

    def day_grade(self, day: date) -> str:
        """Return the grade of one of its days."""
        return worst(*(check.grade for check in self.days.get(day, ())))

    def record(self) -> dict[str, Any]:
        """Return it as JSON values."""
        left_out = {"left_out_days": [day.isoformat() for day in self.left_out], "grade_as_found": self.found}
        return {
            "symbol": self.symbol,
            "month": self.month,
            "first_day": self.first.isoformat(),
            "last_day": self.last.isoformat(),
            "rows": self.rows,
            "grade": self.grade,
            "reasons": self.reasons,
            **(left_out if self.left_out else {}),
            "checks": [check.record() for check in self.checks],
            "days": {
                day.isoformat(): {"grade": self.day_grade(day), "reasons": _reasons(checks)}
                for day, checks in self.days.items()
            },
            **({"klines": dict(self.comparison)} if self.comparison else {}),
        }


def _reasons(checks: Sequence[Check]) -> list[str]:
    grade = worst(*(check.grade for check in checks))
    return [check.text for check in checks if check.grade == grade and grade != "A"]


@dataclass(frozen=True)
class Evidence:
    """All that is known of a symbol: its days in order without a hole in the calendar, and what was compared.

    comparisons  by month (2022-01), as domain/minutes.py reports them
    corrections  what repairs took from other sources: {"day", "by", "ids_filled", "ids_missing", "differs", ...}
    voids        ids of void rows, increasing
    """

    symbol: str
    days: Sequence[Day]
    is_klines: bool = False
    is_import: bool = False
    comparisons: Mapping[str, Mapping[str, Any]] | None = None
    corrections: Sequence[Mapping[str, Any]] = ()
    voids: I64 = field(default_factory=lambda: NONE)


def certificates(evidence: Evidence, left_out: Collection[date] = ()) -> list[Certificate]:
    """Return a certificate for each month, in order, of the days that are not left out."""
    days = list(evidence.days) if evidence.is_klines else joined(evidence.days, evidence.voids)
    days = [_with_more(day, evidence) for day in days]
    return [
        _certificate(evidence, month, list(group), left_out)
        for month, group in groupby(days, lambda day: day.day.isoformat()[:7])
    ]


def _with_more(day: Day, evidence: Evidence) -> Day:
    text = day.day.isoformat()
    compared = (evidence.comparisons or {}).get(text[:7], {}).get("days", {}).get(text)
    found = tuple(correction for correction in evidence.corrections if correction["day"] == text)
    unknown = min(day.ids_missing, sum(int(correction.get("ids_unknown") or 0) for correction in found))
    missing = day.ids_missing - unknown
    return replace(
        day,
        corrections=found,
        ids_missing=missing,
        ids_unknown=unknown,
        start_known=day.start_known or bool(unknown and not missing),
        klines=tuple(compared) if compared is not None else None,
    )


def _certificate(evidence: Evidence, month: str, days: list[Day], left_out: Collection[date]) -> Certificate:
    if not evidence.is_klines:
        days = with_silences(days)
    kept = [day for day in days if day.day not in left_out]
    comparison = (evidence.comparisons or {}).get(month)
    period, whole = (_period(evidence, chosen, comparison) for chosen in (kept, days))
    of_days = {day.day: _below_a(run_checks(whole.of_day(day))) for day in days}
    return Certificate(
        symbol=evidence.symbol,
        month=month,
        first=days[0].day,
        last=days[-1].day,
        rows=period.rows,
        checks=run_checks(period),
        days={day: checks for day, checks in of_days.items() if checks},
        left_out=[day.day for day in days if day.day in left_out],
        found=worst(*(check.grade for check in run_checks(whole))) if len(kept) < len(days) else "",
        comparison=_shown(comparison),
    )


def _period(evidence: Evidence, days: Sequence[Day], comparison: Mapping[str, Any] | None) -> Period:
    sources = list(dict.fromkeys(day.source for day in days if day.source is not None))
    return Period(days, sources, evidence.is_klines, evidence.is_import, comparison)


def _below_a(checks: Sequence[Check]) -> list[Check]:
    return [check for check in checks if check.grade != "A" and check.verdict != PASSED]


def _shown(comparison: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a comparison without its counts by day, which are in the checks of the days."""
    return {name: value for name, value in comparison.items() if name != "days"} if comparison else None


def summary(found: Mapping[str, Sequence[Certificate]]) -> dict[str, Any]:
    """Return for each symbol its grade, the worst of its months, and the grade and reasons of each month."""
    return {
        symbol: {
            "grade": worst(*(one.grade for one in months)),
            "months": {one.month: {"grade": one.grade, "reasons": one.reasons} for one in months},
        }
        for symbol, months in found.items()
    }
