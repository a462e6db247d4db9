"""What the same returns could have come to in another order or draw: bands around an equity curve.

Source: Aronson (2006), Evidence-Based Technical Analysis, chapter 5 (Monte Carlo permutation); Politis and Romano
(1994), The Stationary Bootstrap (blocks of random length, wrapped at the end).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from tickloom.kernel import F64, I64

DRAWS: Final = 1000
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
POINTS: Final = 25
"""At how many moments the bands are told, the beginning and the end among them."""
CELLS: Final = 2_000_000
"""Returns drawn at a time: with many trades a thousand draws would fill gigabytes."""

Random = np.random.Generator
Draw = Callable[[F64, Random, int], F64]


@dataclass(frozen=True)
class Bands:
    """Quantiles (by QUANTILES) over all draws: of the whole return, of the largest drawdown, and along the way.

    at    after how many returns, (n_points,), rising from 0 to all of them
    path  the equity there as a multiple of the first, a row a quantile; own: that of the returns as they were
    """

    total_return: tuple[float, ...]
    max_drawdown: tuple[float, ...]
    n_draws: int
    at: tuple[int, ...]
    own: tuple[float, ...]
    path: tuple[tuple[float, ...], ...]


def shuffled(returns: F64, seed: int) -> Bands | None:
    """Return bands over returns (n,), n >= 2, in random order: the total stays, the way there differs."""
    return _bands(returns, seed, _permuted)


def bootstrapped(returns: F64, seed: int) -> Bands | None:
    """Return bands over returns (n,), n >= 2, drawn anew in blocks of random length, n ** (1/3) in the mean."""
    return _bands(returns, seed, _in_blocks)


def _permuted(returns: F64, random: Random, n_draws: int) -> F64:
    return np.stack([random.permutation(returns) for _ in range(n_draws)])


def _in_blocks(returns: F64, random: Random, n_draws: int) -> F64:
    n = returns.size
    begin = random.random((n_draws, n)) < 1.0 / max(1.0, n ** (1.0 / 3.0))
    begin[:, 0] = True
    fresh = random.integers(0, n, (n_draws, n))
    since = np.arange(n) - np.maximum.accumulate(np.where(begin, np.arange(n), 0), axis=1)
    start = np.take_along_axis(fresh, np.arange(n) - since, axis=1)
    drawn: F64 = returns[(start + since) % n]
    return drawn


def _bands(returns: F64, seed: int, draw: Draw) -> Bands | None:
    n = returns.size
    if n < 2:
        return None
    random = np.random.Generator(np.random.PCG64(seed))
    at = np.unique(np.linspace(0, n, POINTS).round().astype(np.int64))
    size = max(1, CELLS // n)
    some = [courses(draw(returns, random, min(size, DRAWS - k)), at) for k in range(0, DRAWS, size)]
    path, fall = np.concatenate([path for path, _ in some]), np.concatenate([fall for _, fall in some])
    return Bands(
        total_return=_quantiles(path[:, -1] - 1.0),
        max_drawdown=_quantiles(fall),
        n_draws=DRAWS,
        at=tuple(at.tolist()),
        own=tuple(courses(returns[None, :], at)[0][0].tolist()),
        path=tuple(zip(*(_quantiles(values) for values in path.T), strict=True)),
    )


def courses(returns: F64, at: I64) -> tuple[F64, F64]:
    """Return the equity of each draw of returns (n_draws, n) after `at` of them, and its largest drawdown (n_draws,).

    The equity begins with 1 and is (n_draws, n_points); a drawdown is at most 0.
    """
    equity = np.concatenate([np.ones((len(returns), 1)), np.cumprod(1.0 + returns, axis=1)], axis=1)
    fall: F64 = (equity / np.maximum.accumulate(equity, axis=1) - 1.0).min(axis=1)
    return equity[:, at], fall


def _quantiles(values: F64) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values, QUANTILES))
