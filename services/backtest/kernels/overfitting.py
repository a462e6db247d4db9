"""Combinatorially symmetric cross-validation: pick the best trial on half of the days, see how it does on the others.

Source: Bailey, Borwein, López de Prado and Zhu (2017), The Probability of Backtest Overfitting, section 2.2. The
performance is the Sharpe ratio. A trial whose returns do not vary over a half has none there; it counts as 0, for it
neither won nor lost.
"""

from typing import Final

import numpy as np

from tickloom.kernel import F64, I64, Bool, kernel

TIE: Final = 1e-9
"""Sharpe ratios nearer than this are equal: out of sample they are differences of sums, with the rounding of both."""


@kernel
def block_moments(returns: F64, n_blocks: int) -> tuple[F64, F64]:
    """Return each trial's sum and sum of squares by block of consecutive days, (n_blocks, n_trials) each.

    returns  (n_days, n_trials), n_days >= n_blocks; the first n_days % n_blocks days belong to no block
    """
    n_days, n_trials = returns.shape
    length = n_days // n_blocks
    start = n_days - length * n_blocks
    first, second = np.zeros((n_blocks, n_trials)), np.zeros((n_blocks, n_trials))
    for day in range(start, n_days):
        block = (day - start) // length
        for trial in range(n_trials):
            value = returns[day, trial]
            first[block, trial] += value
            second[block, trial] += value * value
    return first, second


@kernel
def _sharpe(total: float, squares: float, n: int, least: float) -> float:
    variance = (squares - total * total / n) / (n - 1)
    return total / n / np.sqrt(variance) if variance > least else 0.0


@kernel
def cross_validate(first: F64, second: F64, length: int, halves: I64, least: float) -> tuple[F64, F64, F64, Bool]:
    """Return for each way to halve the blocks: the chosen trial's Sharpe ratio in sample and out, and its rank out.

    first, second  (n_blocks, n_trials), sums and sums of squares of returns, as `block_moments` gives them
    length         days of a block
    halves         (n_halves,), bit b is set when block b is in sample; half of the n_blocks < 63 bits are
    least          variance below which a Sharpe ratio is 0
    rank           (n_halves,), in (0, 1): how many trials the chosen one beats out of sample, equals by half, over
                   n_trials + 1
    tied           (n_halves,), whether another trial equals the chosen one out of sample

    The first of equals is chosen. O(n_halves * n_blocks * n_trials).
    """
    n_blocks, n_trials = first.shape
    inside, outside, rank = np.empty(halves.size), np.empty(halves.size), np.empty(halves.size)
    tied = np.empty(halves.size, np.bool_)
    n = length * (n_blocks // 2)
    all_first, all_second = np.zeros(n_trials), np.zeros(n_trials)
    for block in range(n_blocks):
        all_first += first[block]
        all_second += second[block]
    in_first, in_second, out = np.empty(n_trials), np.empty(n_trials), np.empty(n_trials)
    for k in range(halves.size):
        in_first[:] = 0.0
        in_second[:] = 0.0
        for block in range(n_blocks):
            if halves[k] >> block & 1:
                in_first += first[block]
                in_second += second[block]
        best, chosen = -np.inf, 0
        for trial in range(n_trials):
            ratio = _sharpe(in_first[trial], in_second[trial], n, least)
            if ratio > best:
                best, chosen = ratio, trial
            out[trial] = _sharpe(all_first[trial] - in_first[trial], all_second[trial] - in_second[trial], n, least)
        below, equal = 0, 0
        for trial in range(n_trials):
            below += out[trial] < out[chosen] - TIE
            equal += abs(out[trial] - out[chosen]) <= TIE
        inside[k], outside[k] = best, out[chosen]
        rank[k], tied[k] = (below + (equal + 1) / 2.0) / (n_trials + 1), equal > 1
    return inside, outside, rank, tied
