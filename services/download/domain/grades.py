"""The letters of a quality certificate and what fixes them: every threshold is here, and nowhere else.

docs/quality.md has this table with examples. A share is of the period that is judged, a month or a day: the same table
serves both, so that a fault in one day weighs on that day more than on its month.
"""

from typing import Final

LETTERS: Final = ("A", "B", "C", "D", "E", "F")

LIMITS: Final[dict[str, tuple[float, float, float, float, float]]] = {
    "days": (0, 0, 0, 0.04, 0.10),
    "ids": (0, 1e-5, 1e-3, 1e-2, 5e-2),
    "unknown_ids": (0, 1, 1, 1, 1),
    "bars": (0, 1e-3, 1e-2, 5e-2, 0.2),
    "alignment": (0, 1e-3, 1e-2, 5e-2, 0.2),
    "silences": (0, 1e-3, 1e-2, 5e-2, 0.2),
    "halts": (0, 1, 1, 1, 1),
    "duplicates": (0, 5e-2, 1, 1, 1),
    "order": (0, 1, 1, 1, 1),
    "times": (1e-3, 0.1, 1, 1, 1),
    "sentinels": (1e-2, 1, 1, 1, 1),
    "foreign_rows": (0, 1e-2, 1, 1, 1),
    "klines": (0, 1e-3, 1e-2, 5e-2, 0.2),
    "left_out": (5e-2, 1, 1, 1, 1),
}
"""The largest share for A, B, C, D, E; above the last it is F."""

UNCHECKED: Final = "B"
"""A source that no hash was published for."""

DISAGREEMENT: Final = "B"
"""A day on which two archives of the exchange said different things, and one of them was taken."""

SHORT: Final = ((1 / 50, "E"), (1 / 10, "C"))
"""A day with fewer rows than this share of its neighbours' median, unless its ids prove it whole: at best this."""

NEIGHBOURS: Final = 3
"""Days on either side that a day's rows are compared with."""

FEWEST_ROWS: Final = 200
"""Neighbours with fewer rows than this, in the median, say nothing about a day between them; and the first and the last
trade of fewer say nothing about where data begin and end."""

SURPRISE: Final = 25.0
"""A silence is a run of empty minutes of a probability below e**-25, 1.4e-11, by the symbol's own rhythm."""

SHRINKAGE: Final = 60
"""Minutes of the symbol's mean that are mixed into the rhythm of each hour: one day alone has but 60 of each."""

WARN_BELOW: Final = "C"
"""Where a request sets no minimum, a grade worse than this is told as a warning."""


def grade_of(name: str, share: float) -> str:
    """Return the letter of a share by LIMITS."""
    for letter, limit in zip(LETTERS, LIMITS[name], strict=False):
        if share <= limit:
            return letter
    return LETTERS[-1]


def short_grade(ratio: float) -> str:
    """Return the letter of a day that has `ratio` times the rows of its neighbours."""
    return next((letter for limit, letter in SHORT if ratio < limit), "A")


def worst(*letters: str) -> str:
    """Return the worst of some letters; A of none."""
    return max(letters, default="A")
