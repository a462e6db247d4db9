"""How far a Sharpe ratio can be trusted: its probability, the record it needs, and what a search finds by luck alone.

All ratios here are per observation, not per year, of returns (n_days,). Kurtosis is raw: 3 for a normal distribution.

Source: Bailey and López de Prado (2012), The Sharpe Ratio Efficient Frontier, sections 3 and 4 (PSR, MinTRL); Bailey
and López de Prado (2014), The Deflated Sharpe Ratio, equations 1, 2 and appendix A.3 (expected maximum, DSR,
independent trials); where we depart from it, `luck_alone` says. Standard deviations are of the sample (n - 1), as
everywhere in Tickloom; the papers leave that open.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from tickloom.kernel import F64
from tickloom.tries import Tries

EULER: Final = 0.5772156649015329
NORMAL: Final = NormalDist()
ROUNDING: Final = 1e-12
"""A deviation below this is rounding of equity, not risk."""
ONE: Final = math.nextafter(1.0, 0.0)


@dataclass(frozen=True)
class Moments:
    """The sample of returns that a Sharpe ratio was measured on."""

    n: int
    sharpe: float
    skewness: float
    kurtosis: float

    @property
    def spread(self) -> float:
        """Return the variance of the Sharpe ratio's estimate, times n - 1. Not above 0 for no distribution there is."""
        return 1.0 - self.skewness * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe**2


def moments(returns: F64) -> Moments | None:
    """Return the moments of returns (n_days,), or None where a Sharpe ratio is undefined."""
    if returns.size < 3:
        return None
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    if not deviation > ROUNDING:
        return None
    centred = returns - mean
    variance = float(np.square(centred).mean())
    skewness = float((centred**3).mean()) / variance**1.5
    kurtosis = float((centred**4).mean()) / variance**2
    return Moments(int(returns.size), mean / deviation, skewness, kurtosis)


def probabilistic_sharpe_ratio(sample: Moments, benchmark: float = 0.0) -> float | None:
    """Return the probability that the true Sharpe ratio is above `benchmark`; None where the formula has no root."""
    if sample.spread <= 0.0:
        return None
    return NORMAL.cdf((sample.sharpe - benchmark) * math.sqrt((sample.n - 1) / sample.spread))


def minimum_track_record_length(sample: Moments, benchmark: float = 0.0, confidence: float = 0.95) -> float | None:
    """Return the observations needed to be `confidence` sure of beating `benchmark`; None when it is not beaten."""
    if sample.spread <= 0.0 or sample.sharpe <= benchmark:
        return None
    distance = NORMAL.inv_cdf(confidence) / (sample.sharpe - benchmark)
    return 1.0 + sample.spread * distance * distance


def expected_maximum_sharpe(n_trials: float, variance: float) -> float:
    """Return the best Sharpe ratio to be expected of `n_trials` independent strategies without any skill.

    n_trials  >= 1, may be a fraction: an effective number
    variance  of the Sharpe ratios over the trials
    """
    if n_trials <= 1.0:
        return 0.0
    first = NORMAL.inv_cdf(min(1.0 - 1.0 / n_trials, ONE))
    second = NORMAL.inv_cdf(min(1.0 - 1.0 / (n_trials * math.e), ONE))
    # Just above one trial the first quantile dives to minus infinity: the maximum of one or more is never below 0.
    return max(0.0, math.sqrt(variance) * ((1.0 - EULER) * first + EULER * second))


def deflated_sharpe_ratio(sample: Moments, n_trials: float, variance: float) -> float | None:
    """Return the probability that the best of a search has skill: its PSR against the luck of so many trials."""
    return probabilistic_sharpe_ratio(sample, expected_maximum_sharpe(n_trials, variance))


def luck_alone(own: Tries, earlier: Tries, n_days: int) -> float:
    """Return the Sharpe ratio to expect of the best of a search and of those before it, on n_days, without any skill.

    Every trial counts, however alike: alike trials have alike ratios, which the variance over them says already. With
    fewer trials for their likeness (as `independent_trials` has it) it would be said twice, and noise be called skill
    too often. The luck of all is never below that of a part: many copies of one trial do not water it down.
    """
    if n_days < 2:
        return 0.0
    parts = (own, earlier, Tries.together((own, earlier)))
    return max(expected_maximum_sharpe(part.n, part.variance) for part in parts) / math.sqrt(n_days - 1)


def sharpe_ratios(returns: F64) -> F64:
    """Return the Sharpe ratio of each column of returns (n_days, n_trials); NaN where it is undefined."""
    deviation = returns.std(axis=0, ddof=1)
    defined = deviation > ROUNDING
    ratios = np.full(returns.shape[1], np.nan)
    ratios[defined] = returns.mean(axis=0)[defined] / deviation[defined]
    return ratios


def mean_correlation(returns: F64) -> float:
    """Return the mean correlation of all pairs of trials, at least 0; 0 for fewer than two.

    returns  (n_days, n_trials), each with a deviation
    """
    n_trials = returns.shape[1]
    if n_trials < 2:
        return 0.0
    centred = returns - returns.mean(axis=0)
    scaled = centred / np.sqrt(np.square(centred).sum(axis=0))
    together = float(np.square(scaled.sum(axis=1)).sum())  # the sum of all correlations, each trial's own 1 included
    return float(min(1.0, max(0.0, (together - n_trials) / (n_trials * (n_trials - 1)))))


def independent_trials(n_trials: int, correlation: float) -> float:
    """Return the number of independent trials that trials of this mean correlation amount to: rho + (1 - rho) n."""
    return correlation + (1.0 - correlation) * n_trials
