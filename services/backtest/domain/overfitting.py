"""How likely it is that choosing the best trial chose luck: the probability of backtest overfitting, by CSCV.

Source: Bailey, Borwein, López de Prado and Zhu (2017), The Probability of Backtest Overfitting, sections 2.2 and 3.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Final

import numpy as np

from services.backtest.kernels.overfitting import block_moments, cross_validate
from tickloom.kernel import F64, I64
from tickloom.sharpe import ROUNDING

BLOCKS: Final = 16
"""Into how many blocks the days are cut: 12,870 ways to halve them. Fewer where the record is short."""
SHORTEST: Final = 4
"""Days that a block has at least."""


@dataclass(frozen=True)
class Overfitting:
    """What became out of sample of the trials that were best in sample.

    probability   PBO: how often the chosen trial came out in the lower half of all trials, the middle included as in
                  the paper; where it is in the middle because others equal it, that is half a time
    loss          how often it lost money out of sample
    slope         of its Sharpe ratio out of sample over that in sample; None when the latter never varies
    n_blocks, n_halves  how it was measured
    """

    probability: float
    loss: float
    slope: float | None
    n_blocks: int
    n_halves: int


def overfitting(returns: F64) -> Overfitting | None:
    """Return the probability of overfitting of trials (n_days, n_trials), or None when there is too little to tell.

    Where all trials are equal there is nothing to choose, and so no choice that could be wrong: None.
    """
    n_days, n_trials = returns.shape
    n_blocks = min(BLOCKS, n_days // SHORTEST // 2 * 2)
    if n_blocks < 4 or n_trials < 2 or (returns == returns[:, :1]).all():
        return None
    first, second = block_moments(np.ascontiguousarray(returns, np.float64), n_blocks)
    inside, outside, rank, tied = cross_validate(first, second, n_days // n_blocks, halves(n_blocks), ROUNDING**2)
    below = np.where(tied & (rank == 0.5), 0.5, rank <= 0.5)
    return Overfitting(
        probability=float(below.mean()),
        loss=float((outside < 0.0).mean()),
        slope=_slope(inside, outside),
        n_blocks=n_blocks,
        n_halves=rank.size,
    )


@lru_cache(maxsize=BLOCKS)
def halves(n_blocks: int) -> I64:
    """Return every choice of half of the blocks as bits, (n_halves,)."""
    return np.array([sum(1 << block for block in chosen) for chosen in combinations(range(n_blocks), n_blocks // 2)])


def _slope(inside: F64, outside: F64) -> float | None:
    centred = inside - inside.mean()
    square = float((centred * centred).sum())
    return float((centred * (outside - outside.mean())).sum()) / square if square > ROUNDING**2 else None
