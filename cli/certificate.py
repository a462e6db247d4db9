"""Quality certificates on the terminal."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from cli.output import console, print_json, table

Record = Mapping[str, Any]


def show(records: Sequence[Record], *, as_json: bool) -> None:
    """Print certificates: a grade a symbol, and a line a month."""
    if as_json:
        print_json(records)
        return
    for symbol, group in groupby(records, lambda record: record["symbol"]):
        months = list(group)
        out = console()
        out.print(grade_line(symbol, [str(record["grade"]) for record in months]), style="bold", highlight=False)
        rows = [
            [
                *(record["month"], record["grade"], f"{record['rows']:,}"),
                " ".join(record["reasons"]) or "nothing found",
            ]
            for record in months
        ]
        table("", ["month", "grade", ">rows", "why"], rows)
        for line in _days(months):
            out.print(line, markup=False, highlight=False, soft_wrap=True)


def _days(months: Sequence[Record]) -> list[str]:
    worse = [
        f"  {day} {found['grade']}: {' '.join(found['reasons'])}"
        for record in months
        for day, found in record["days"].items()
        if found["grade"] > "B"
    ]
    return [*worse[:20], *([f"  and {len(worse) - 20} more days"] if len(worse) > 20 else [])]


def grade_line(symbol: str, grades: Sequence[str]) -> str:
    """Return a symbol's grade, the worst of its months, and how many months have which."""
    counted = ", ".join(f"{grades.count(letter)} x {letter}" for letter in sorted(set(grades)))
    return f"{symbol}: data quality {max(grades)} ({counted})"
