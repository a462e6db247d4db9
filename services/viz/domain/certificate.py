"""The download's quality certificates for the report: a large grade a symbol, what fixed it, a table of its months."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.viz.domain.caveats import Caveat
from services.viz.domain.words import percent, plural

Record = Mapping[str, Any]
COLUMNS: Final = ("Month", "Grade", "Rows", "Days missing", "Ids missing", "Silent", "Official bars", "Why")
WORDS: Final = {
    "A": "nothing found",
    "B": "remarks only",
    "C": "small faults",
    "D": "visible faults",
    "E": "heavy faults",
    "F": "do not use",
}
LISTED_MONTHS: Final = 24
LISTED_DAYS: Final = 12


def certificates(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the section of each symbol. records: quality/certificates.json of the download, by symbol and month."""
    by_symbol: dict[str, list[Record]] = {}
    for record in records:
        by_symbol.setdefault(str(record["symbol"]), []).append(record)
    return [_symbol(symbol, months) for symbol, months in by_symbol.items()]


def overall(records: Sequence[Record]) -> str:
    """Return the worst grade of all, or an empty text where there is no certificate."""
    return max((str(record["grade"]) for record in records), default="")


def quality_caveats(records: Sequence[Record], symbol: str, minimum: str | None) -> list[Caveat]:
    """Return what the data's grade means for one symbol's result. minimum: the worst grade that the request takes."""
    months = [record for record in records if record["symbol"] == symbol]
    grade = overall(months)
    found = []
    if grade > "B" or (minimum is not None and grade > minimum):
        bad = [str(record["month"]) for record in months if record["grade"] == grade]
        reasons = " ".join(next(record["reasons"] for record in months if record["grade"] == grade))
        asked = f", below the {minimum} that was asked for" if minimum and grade > minimum else ""
        text = f"The data of {_some(bad)} have grade {grade} ({WORDS.get(grade, '')}){asked}: {reasons}"
        found.append(Caveat("warning" if grade > "C" or asked else "note", "The data have faults", text))
    if days := [str(day) for record in months for day in record.get("left_out_days", [])]:
        text = f"{plural(len(days), 'day')} left out for their grade: {_some(days)}. The bars pass over them."
        found.append(Caveat("warning", "Days were left out", text))
    return found


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - LISTED_DAYS} more" if len(names) > LISTED_DAYS else ""
    return ", ".join(names[:LISTED_DAYS]) + rest


def _symbol(symbol: str, months: Sequence[Record]) -> dict[str, Any]:
    grade = overall(months)
    worst = [record for record in months if record["grade"] == grade]
    reasons = list(dict.fromkeys(reason for record in worst for reason in record["reasons"]))
    return {
        "symbol": symbol,
        "grade": grade,
        "word": WORDS.get(grade, ""),
        "share": f"{plural(len(worst), 'month')} of {len(months)}" if len(worst) < len(months) else "",
        "reasons": reasons[:LISTED_DAYS] or ["No check found anything."],
        "checks": [_check(check) for check in worst[0]["checks"]],
        "checked": str(worst[0]["month"]),
        "columns": COLUMNS,
        "months": [_month(record) for record in months],
        "is_long": len(months) > LISTED_MONTHS,
    }


def _check(check: Record) -> dict[str, str]:
    names = {"ids": "id continuity", "bars": "missing bars", "klines": "official bars", "sentinels": "void rows"}
    name = str(check["name"])
    return {
        "name": names.get(name, name.replace("_", " ")),
        "grade": str(check["grade"]) if check["verdict"] != "not checked" else "–",
        "text": str(check["text"]),
    }


def _month(record: Record) -> dict[str, Any]:
    numbers = {check["name"]: check["numbers"] for check in record["checks"]}
    days, ids, silent = (numbers.get(name, {}) for name in ("days", "ids", "silences"))
    minutes = int(silent.get("silent_minutes", 0)) + int(silent.get("halted_minutes", 0))
    left_out = [str(day) for day in record.get("left_out_days", [])]
    why = " ".join(record["reasons"])
    if left_out:
        why = f"{plural(len(left_out), 'day')} left out ({record['grade_as_found']} as found). {why}"
    return {
        "month": str(record["month"]),
        "grade": str(record["grade"]),
        "cells": [
            f"{int(record['rows']):,}",
            f"{int(days.get('missing', 0)):,}",
            f"{int(ids['missing']):,}" if ids else "–",
            f"{minutes:,} min" if silent else "–",
            _official(numbers.get("klines", {})),
        ],
        "why": why,
    }


def _official(numbers: Mapping[str, Any]) -> str:
    compared = int(numbers.get("compared", 0))
    if not compared:
        return "–"
    equal = int(numbers["equal"]) / compared
    return "all equal" if numbers["equal"] == compared else f"{percent(equal, places=2)} equal"
