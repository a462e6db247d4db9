"""How likely the best trial of a search is to be luck: every figure of it in one record.

The returns are those between the equities at the close of consecutive UTC days, as for the Sharpe ratio in `metrics`.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from services.backtest.domain.metrics import DAYS_A_YEAR
from services.backtest.domain.overfitting import overfitting
from services.backtest.domain.resampling import QUANTILES, Bands, bootstrapped, shuffled
from services.backtest.domain.walk_forward import WalkForward, walk_forward
from tickloom.kernel import F64
from tickloom.sharpe import (
    independent_trials,
    luck_alone,
    mean_correlation,
    minimum_track_record_length,
    moments,
    probabilistic_sharpe_ratio,
    sharpe_ratios,
)
from tickloom.tries import Tries

A_YEAR: Final = math.sqrt(DAYS_A_YEAR)


@dataclass(frozen=True)
class Luck:
    """The figures as JSON values, and the walks for their curves (None when the record is too short to walk)."""

    facts: dict[str, Any]
    anchored: WalkForward | None
    rolling: WalkForward | None


def daily_returns(daily: F64) -> F64:
    """Return the returns between the equities at the close of each day, (n_days,) -> (n_days - 1,).

    Once an equity is 0 or less there is nothing left to gain or lose: the returns are 0 from then on, and the day of
    the ruin itself is -1.
    """
    alive = np.logical_and.accumulate(daily > 0)
    before = np.where(alive[:-1], daily[:-1], 1.0)
    return np.where(alive[:-1], np.maximum(daily[1:], 0.0) / before - 1.0, 0.0)


def luck(returns: F64, best: int, trades: F64, seed: int) -> Luck:
    """Return what is to be said about the choice of column `best` among returns (n_days, n_trials).

    trades  (n_trades,), the return of each closed trade of the best trial on the equity before it
    seed    of the draws; of equal runs equal
    """
    ratios = sharpe_ratios(returns) if len(returns) > 1 else np.full(returns.shape[1], np.nan)
    measured = ~np.isnan(ratios)
    tries = Tries.of(ratios.tolist(), len(returns))
    correlation = mean_correlation(returns[:, measured])
    sample = moments(returns[:, best])
    expected = luck_alone(tries, Tries(), len(returns))
    anchored, rolling = walk_forward(returns, True), walk_forward(returns, False)
    found = overfitting(returns)
    facts: dict[str, Any] = {
        "n_days": len(returns),
        "n_trials": tries.n,
        "n_measured": tries.n_measured,
        "tries": asdict(tries),
        "mean_correlation": correlation,
        "independent_trials": independent_trials(tries.n, correlation),
        "expected_maximum_sharpe": expected * A_YEAR,
        "sample": None if sample is None else asdict(sample),
        "probabilistic_sharpe_ratio": sample and probabilistic_sharpe_ratio(sample),
        "minimum_track_record_days": sample and minimum_track_record_length(sample),
        "deflated_sharpe_ratio": sample and probabilistic_sharpe_ratio(sample, expected),
        "overfitting": None if found is None else asdict(found),
        "walk_forward": _walks(anchored, rolling),
        "quantiles": QUANTILES,
        "bootstrap_of_days": _bands(bootstrapped(returns[:, best], seed)),
        "bootstrap_of_trades": _bands(bootstrapped(trades, seed)),
        "shuffled_trades": _bands(shuffled(trades, seed)),
    }
    return Luck(facts, anchored, rolling)


def _bands(bands: Bands | None) -> dict[str, Any] | None:
    return None if bands is None else asdict(bands)


def _walks(anchored: WalkForward | None, rolling: WalkForward | None) -> dict[str, Any] | None:
    if anchored is None or rolling is None:
        return None
    return {name: _walk(walk) for name, walk in (("anchored", anchored), ("rolling", rolling))}


def _walk(walk: WalkForward) -> dict[str, Any]:
    inside, outside = walk.in_sample_sharpe, walk.out_of_sample_sharpe
    return {
        "chosen": walk.chosen.tolist(),
        "first_day": walk.start,
        "in_sample_sharpe": None if inside is None else inside * A_YEAR,
        "out_of_sample_sharpe": None if outside is None else outside * A_YEAR,
        "out_of_sample_return": float(np.prod(1.0 + walk.returns) - 1.0),
    }
