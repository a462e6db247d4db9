"""What the same trades could have come to in another order or draw: bands around an equity curve.

Source: Aronson (2006), Evidence-Based Technical Analysis, chapter 5 (Monte Carlo permutation); Politis and Romano
(1994), The Stationary Bootstrap (blocks of random length, wrapped at the end).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from tickloom.kernel import F64

DRAWS: Final = 1000
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Bands:
    """Quantiles (by QUANTILES) over all draws: of the whole return and of the largest drawdown."""

    total_return: tuple[float, ...]
    max_drawdown: tuple[float, ...]
    n_draws: int


def shuffled(returns: F64, seed: int) -> Bands | None:
    """Return bands over trades (n_trades,) in random order: the total stays, the way there differs."""
    if returns.size < 2:
        return None
    random = np.random.Generator(np.random.PCG64(seed))
    return _bands(np.stack([random.permutation(returns) for _ in range(DRAWS)]))


def bootstrapped(returns: F64, seed: int) -> Bands | None:
    """Return bands over daily returns (n_days,) drawn in blocks of random length, n_days ** (1/3) in the mean."""
    n = returns.size
    if n < 2:
        return None
    random = np.random.Generator(np.random.PCG64(seed))
    begin = random.random((DRAWS, n)) < 1.0 / max(1.0, n ** (1.0 / 3.0))
    begin[:, 0] = True
    fresh = random.integers(0, n, (DRAWS, n))
    since = np.arange(n) - np.maximum.accumulate(np.where(begin, np.arange(n), 0), axis=1)
    start = np.take_along_axis(fresh, np.arange(n) - since, axis=1)
    return _bands(returns[(start + since) % n])


def _bands(returns: F64) -> Bands:
    """Return the quantiles over draws, (n_draws, n)."""
    equity = np.cumprod(1.0 + returns, axis=1)
    peak = np.maximum(np.maximum.accumulate(equity, axis=1), 1.0)
    drawdown = np.asarray(np.minimum(equity / peak - 1.0, 0.0).min(axis=1), np.float64)
    return Bands(_quantiles(np.asarray(equity[:, -1] - 1.0, np.float64)), _quantiles(drawdown), len(returns))


def _quantiles(values: F64) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values, QUANTILES))
