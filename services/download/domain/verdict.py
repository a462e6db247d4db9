"""What a request's demand on quality makes of the certificates: go on, warn, leave days out, or stop."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from services.download.domain.certificate import Certificate, Evidence, certificates
from services.download.domain.errors import QualityTooLow
from services.download.domain.grades import WARN_BELOW
from tickloom.contracts.download import QualityRule

LISTED = 10


@dataclass(frozen=True)
class Verdict:
    """The certificates by symbol, the days that are left out for their grade, and what to warn of."""

    certificates: Mapping[str, Sequence[Certificate]]
    left_out: Mapping[str, Sequence[date]] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def judge(rule: QualityRule, evidences: Iterable[Evidence]) -> Verdict:
    """Grade everything and hold it against the rule. Raises QualityTooLow where it says to stop.

    A rule that leaves days out raises too when no day of a symbol is good enough.
    """
    known = list(evidences)
    found = {evidence.symbol: certificates(evidence) for evidence in known}
    if rule.on_failure == "stop" and rule.minimum is not None:
        if bad := _below(found, rule.minimum):
            raise _too_low(rule.minimum, bad)
        return Verdict(found)
    left_out: dict[str, list[date]] = {}
    if rule.on_failure == "drop_day" and rule.minimum is not None:
        for evidence in known:
            days = _bad_days(evidence, found[evidence.symbol], rule.minimum)
            if days and len(days) == sum(day.rows > 0 for day in evidence.days):
                raise _too_low(rule.minimum, _below({evidence.symbol: found[evidence.symbol]}, "A"))
            if days:
                left_out[evidence.symbol] = days
                found[evidence.symbol] = certificates(evidence, days)
    return Verdict(found, left_out, [*_told(left_out, rule), *_warnings(found, rule)])


def _below(found: Mapping[str, Sequence[Certificate]], minimum: str) -> list[Certificate]:
    return [one for months in found.values() for one in months if one.grade > minimum]


def _bad_days(evidence: Evidence, found: Sequence[Certificate], minimum: str) -> list[date]:
    grades = {day: one.day_grade(day) for one in found for day in one.days}
    return [day.day for day in evidence.days if day.rows and grades.get(day.day, "A") > minimum]


def _told(left_out: Mapping[str, Sequence[date]], rule: QualityRule) -> list[str]:
    return [
        f"{symbol}: {len(days)} day{'s' if len(days) > 1 else ''} left out, graded below {rule.minimum}: "
        + ", ".join(day.isoformat() for day in days[:LISTED])
        + (f" and {len(days) - LISTED} more" if len(days) > LISTED else "")
        for symbol, days in left_out.items()
    ]


def _warnings(found: Mapping[str, Sequence[Certificate]], rule: QualityRule) -> list[str]:
    bad = _below(found, rule.minimum or WARN_BELOW)
    told = [f"the data of {one.symbol} {one.month} have grade {one.grade}: {' '.join(one.reasons)}" for one in bad]
    return told[:LISTED] + ([f"{len(told) - LISTED} more months have a grade as low"] if len(told) > LISTED else [])


def _too_low(minimum: str, bad: Sequence[Certificate]) -> QualityTooLow:
    return QualityTooLow(minimum, tuple((one.symbol, one.month, one.grade, " ".join(one.reasons)) for one in bad))
