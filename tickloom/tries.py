"""The trials of one search or of many, as far as luck is concerned: how many, and how far apart they came out.

Ratios are kept in standard errors of a trial without any skill, sharpe * sqrt(n_days - 1) with the Sharpe ratio per
day: so searches over records of different length can be added up. Source of the error: Lo (2002), The Statistics of
Sharpe Ratios, equation 9, at a true ratio of 0; n - 1 as in Bailey and López de Prado (2012).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Tries:
    """How often luck was tried.

    n           trials, those included that have no Sharpe ratio: they never traded
    n_measured  those that have one
    total, squares  sums over these of the ratio and of its square, in standard errors
    """

    n: int = 0
    n_measured: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, ratios: Iterable[float], n_days: int) -> Self:
        """Return the tries of one search by its Sharpe ratios per day over n_days, NaN where there is none."""
        found = list(ratios)
        scaled = [ratio * math.sqrt(n_days - 1) for ratio in found if not math.isnan(ratio)]
        return cls(len(found), len(scaled), math.fsum(scaled), math.fsum(ratio * ratio for ratio in scaled))

    @classmethod
    def unknown(cls, n: int) -> Self:
        """Return trials whose ratios nobody wrote down: taken to be as far apart as those without any skill are."""
        return cls(n, n, 0.0, float(n))

    @classmethod
    def together(cls, many: Iterable["Tries"]) -> Self:
        """Return all of them as one, the same in whatever order they come."""
        all_of = list(many)
        return cls(
            sum(one.n for one in all_of),
            sum(one.n_measured for one in all_of),
            math.fsum(one.total for one in all_of),
            math.fsum(one.squares for one in all_of),
        )

    @property
    def variance(self) -> float:
        """Return the variance of the ratios, in squared standard errors; of fewer than two 1, which is that of luck."""
        if self.n_measured < 2:
            return 1.0
        return max(0.0, self.squares - self.total * self.total / self.n_measured) / (self.n_measured - 1)
