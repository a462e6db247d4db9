"""What is put right after the archives were read: gaps of ids, how they are asked for, and the account of it all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import numpy as np

from tickloom.contracts.artifact import Part
from tickloom.kernel import I64, Bool

NO_REQUESTS: Final = "REST was not asked: the request allows no `repair_requests`"
NO_BUDGET: Final = "REST was not asked: all `repair_requests` go to smaller gaps"
UNKNOWN: Final = "the exchange knows no such ids"


@dataclass(frozen=True)
class Difference:
    """How two sources of one day differ: ids that only one has, and ids whose rows differ."""

    only_monthly: int
    only_daily: int
    different: int


def in_both(left: I64, right: I64) -> tuple[I64, I64]:
    """Return the indices at which the same ids stand in `left` and in `right`; both are strictly increasing."""
    if not right.size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    at = np.minimum(np.searchsorted(right, left), right.size - 1)
    here = np.flatnonzero(right[at] == left)
    return here, at[here]


def unequal(left: I64, left_scale: int, right: I64, right_scale: int) -> Bool:
    """Return where two columns of decimals differ in value. Exact: nothing is multiplied, so nothing overflows."""
    if left_scale > right_scale:
        return unequal(right, right_scale, left, left_scale)
    factor = np.int64(10 ** (right_scale - left_scale))
    differs: Bool = (right % factor != 0) | (right // factor != left)
    return differs


@dataclass(frozen=True)
class Gap:
    """Ids that are missing between two that are there.

    day         the gap's: that of both ids, or the day after the trade before it
    first_day   of the trade before, last_day of the trade after
    """

    symbol: str
    day: date
    after: int
    before: int
    first_day: date
    last_day: date

    @property
    def missing(self) -> int:
        """Return how many ids are missing."""
        return self.before - self.after - 1


@dataclass(frozen=True)
class Span:
    """Neighbouring gaps that are asked for in one go, from the id before the first to the one after the last."""

    gaps: tuple[Gap, ...]

    @property
    def symbol(self) -> str:
        """Return whose ids these are."""
        return self.gaps[0].symbol

    @property
    def after(self) -> int:
        """Return the known id at which the answer must begin."""
        return self.gaps[0].after

    @property
    def before(self) -> int:
        """Return the known id at which, or after which, the answer may end."""
        return self.gaps[-1].before

    def requests(self, limit: int) -> int:
        """Return how many requests this takes at most; an answer has `limit` trades."""
        return -(-(self.before - self.after + 1) // limit)


def spans(gaps: Sequence[Gap], limit: int) -> list[Span]:
    """Return gaps, in the order of their ids, in as few spans as answers of `limit` trades allow."""
    groups: list[list[Gap]] = []
    for gap in gaps:
        last = groups[-1] if groups else []
        if last and last[0].symbol == gap.symbol and gap.before - last[0].after < limit:
            last.append(gap)
        else:
            groups.append([gap])
    return [Span(tuple(group)) for group in groups]


def affordable(asked: Sequence[Span], limit: int, requests: int) -> list[Span]:
    """Return the spans that a number of requests pays for: the small ones first, so that most gaps are closed."""
    chosen = []
    for span in sorted(asked, key=lambda span: (span.requests(limit), span.gaps[0].symbol, span.after)):
        requests -= span.requests(limit)
        if requests < 0:
            break
        chosen.append(span)
    return chosen


@dataclass
class Outcome:
    """What became of a gap: ids that were found, ids that the exchange does not know, why others are missing still."""

    filled: int = 0
    unknown: int = 0
    why: str = ""


def nothing(span: Span, why: str) -> dict[str, Any]:
    """Return the facts of an answer that nothing is taken of, in the form of adapters.rest.ask."""
    return {"filled": [0] * len(span.gaps), "why": why, "requests": 0}


def settle(gaps: Iterable[Gap], answers: Mapping[Span, Part]) -> dict[Gap, Outcome]:
    """Return what became of each gap by the answers to the spans: an answer that counts leaves nothing open.

    The ids of a gap that such an answer does not have are those that the exchange never had.
    """
    outcomes = {gap: Outcome() for gap in gaps}
    for span, part in answers.items():
        for gap, filled in zip(span.gaps, part.facts["filled"], strict=True):
            why = part.facts["why"]
            outcomes[gap] = Outcome(filled, 0 if why else gap.missing - filled, why)
    return outcomes


@dataclass
class Correction:
    """What became of one day.

    by           daily: of rows that differ those of the daily archive count, and of ids that one archive lacks the
                 other's; rest: ids were missing after that
    ids_missing  when this was done; ids_unknown: those of them that the exchange does not know
    beside       how the monthly and the daily archive differ
    """

    day: date
    by: str
    why: list[str]
    rows_before: int
    rows_after: int
    ids_filled: int = 0
    ids_missing: int = 0
    ids_unknown: int = 0
    beside: Difference = field(default_factory=lambda: Difference(0, 0, 0))

    @property
    def is_change(self) -> bool:
        """Tell whether the day is another than its archive said; else this only tells what is missing."""
        return self.by == "daily" or self.ids_filled > 0

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "day": self.day.isoformat(),
            "by": self.by,
            "why": "; ".join(dict.fromkeys(self.why)),
            "rows_before": self.rows_before,
            "rows_after": self.rows_after,
            "ids_filled": self.ids_filled,
            "ids_missing": self.ids_missing,
            "ids_unknown": self.ids_unknown,
            "only_monthly": self.beside.only_monthly,
            "only_daily": self.beside.only_daily,
            "differs": self.beside.different,
        }
