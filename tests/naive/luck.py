"""The statistics of luck again, slow and obvious: lists, loops, and the definitions of the papers."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from math import e, erf, inf, isnan
from statistics import fmean, stdev, variance

Panel = Sequence[Sequence[float]]
"""returns[day][trial]."""


def sharpe(returns: Sequence[float]) -> float:
    """Return mean over standard deviation; 0 when nothing varies."""
    deviation = stdev(returns)
    return fmean(returns) / deviation if deviation > 1e-12 else 0.0


def normal_cdf(z: float) -> float:
    """Return the probability that a standard normal variable is below z."""
    return (1 + erf(z / 2**0.5)) / 2


def normal_quantile(p: float) -> float:
    """Return the z that a standard normal variable is below with probability p, by halving."""
    low, high = -40.0, 40.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if normal_cdf(middle) < p else (low, middle)
    return low


def moments(returns: Sequence[float]) -> tuple[int, float, float, float]:
    """Return n, Sharpe ratio, skewness and raw kurtosis, the last two by the moments of the n values themselves."""
    n, mean = len(returns), fmean(returns)
    second, third, fourth = (fmean((r - mean) ** k for r in returns) for k in (2, 3, 4))
    return n, mean / stdev(returns), third / second**1.5, fourth / second**2


def standard_error(n: int, ratio: float, skewness: float, kurtosis: float) -> float:
    """Return the standard deviation of a Sharpe ratio's estimate from n returns."""
    return float(((1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2) / (n - 1)) ** 0.5)


def probabilistic_sharpe_ratio(sample: tuple[int, float, float, float], benchmark: float) -> float:
    """Return the probability that the true ratio is above the benchmark."""
    return normal_cdf((sample[1] - benchmark) / standard_error(*sample))


def expected_maximum(n_trials: float, spread: float) -> float:
    """Return the best ratio to expect of trials without skill that lie so far apart (a standard deviation)."""
    gamma = 0.57721566490153286
    best = (1 - gamma) * normal_quantile(1 - 1 / n_trials) + gamma * normal_quantile(1 - 1 / (n_trials * e))
    return max(0.0, spread * best)


def minimum_track_record(sample: tuple[int, float, float, float], benchmark: float, confidence: float) -> float:
    """Return the length of the record at which the probability is the confidence, by halving."""
    _, *shape = sample
    low, high = 1.0, 1e15
    for _ in range(300):
        middle = (low + high) / 2
        # n need not be whole here: the standard error falls with the root of n - 1.
        error = standard_error(2, *shape) / (middle - 1) ** 0.5
        enough = normal_cdf((sample[1] - benchmark) / error) >= confidence
        low, high = (low, middle) if enough else (middle, high)
    return high


def correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Pearson's correlation."""
    mx, my = fmean(x), fmean(y)
    above = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return float(above / (sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y)) ** 0.5)


def independent_trials(panel: Panel) -> float:
    """Return rho + (1 - rho) n with the mean correlation of all pairs."""
    columns = list(zip(*panel, strict=True))
    if len(columns) < 2:
        return float(len(columns))
    rho = fmean(correlation(x, y) for x, y in combinations(columns, 2))
    rho = min(1.0, max(0.0, rho))
    return rho + (1 - rho) * len(columns)


def variance_of_ratios(ratios: Sequence[float], n_days: int) -> float:
    """Return the variance of ratios per day in squared standard errors without skill; 1 of fewer than two."""
    known = [ratio * (n_days - 1) ** 0.5 for ratio in ratios if not isnan(ratio)]
    return variance(known) if len(known) > 1 else 1.0


def cross_validate(panel: Panel, n_blocks: int) -> list[tuple[float, float, float, bool]]:
    """Return (Sharpe in sample, out, relative rank, whether others equal it) of the trial chosen on each half."""
    length = len(panel) // n_blocks
    days = panel[len(panel) - length * n_blocks :]
    blocks = [days[k * length : (k + 1) * length] for k in range(n_blocks)]
    results = []
    for half in combinations(range(n_blocks), n_blocks // 2):
        inside = [day for k in half for day in blocks[k]]
        outside = [day for k in range(n_blocks) if k not in half for day in blocks[k]]
        ins = [sharpe(column) for column in zip(*inside, strict=True)]
        outs = [sharpe(column) for column in zip(*outside, strict=True)]
        chosen = ins.index(max(ins))
        below = sum(value < outs[chosen] for value in outs)
        equal = sum(value == outs[chosen] for value in outs)
        results.append((ins[chosen], outs[chosen], (below + (equal + 1) / 2) / (len(outs) + 1), equal > 1))
    return results


def probability_of_overfitting(panel: Panel, n_blocks: int) -> float | None:
    """Return how often the chosen trial is in the lower half, half a time where it shares the middle with others."""
    if n_blocks < 4 or all(value == day[0] for day in panel for value in day):
        return None
    times = [
        0.5 if tied and rank == 0.5 else float(rank <= 0.5) for _, _, rank, tied in cross_validate(panel, n_blocks)
    ]
    return fmean(times)


def walk_forward(panel: Panel, anchored: bool, stretches: int, past: int) -> tuple[list[int], list[float]]:
    """Return which trial was chosen for each stretch, and the returns out of sample."""
    n = len(panel)
    cuts = [n * k // stretches for k in range(stretches + 1)]
    chosen, outside = [], []
    for k in range(past, stretches):
        seen = panel[0 if anchored else cuts[k - past] : cuts[k]]
        ratios = [
            fmean(column) / stdev(column) if stdev(column) > 1e-12 else -inf for column in zip(*seen, strict=True)
        ]
        chosen.append(ratios.index(max(ratios)))
        outside += [day[chosen[-1]] for day in panel[cuts[k] : cuts[k + 1]]]
    return chosen, outside


def courses(draws: Panel, at: Sequence[int]) -> tuple[list[list[float]], list[float]]:
    """Return the equity of each draw after `at` of its returns, beginning with 1, and its largest drawdown."""
    paths, falls = [], []
    for returns in draws:
        equity, peak, fall = [1.0], 1.0, 0.0
        for change in returns:
            equity.append(equity[-1] * (1 + change))
            peak = max(peak, equity[-1])
            fall = min(fall, equity[-1] / peak - 1)
        paths.append([equity[k] for k in at])
        falls.append(fall)
    return paths, falls


def moved(
    opens: Sequence[float], trades: Sequence[tuple[int, int, int, float]], costs: tuple[float, float], cash: float
) -> float:
    """Return the cash after trades (entry bar, exit bar, side, share), each of that share of the cash before it."""
    commission, slippage = (Fraction(rate) for rate in costs)
    money = Fraction(cash)
    for entry, leave, side, share in trades:
        fill = Fraction(opens[entry]) * (1 + int(side) * slippage)
        quantity = min(Fraction(float(share)), 1 / (1 + commission)) * money / fill
        out = Fraction(opens[leave]) * (1 - int(side) * slippage)
        money += quantity * (int(side) * (out - fill) - commission * (fill + out))
    return float(money)
