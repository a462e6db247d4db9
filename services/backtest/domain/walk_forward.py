"""Walk-forward: choose the best trial on the past, live with it for the next stretch of days, and choose again.

The days are cut into equal stretches. `anchored` chooses on all days before a stretch, `rolling` on the stretches just
before it. A trial's returns on a stretch are those of its own unbroken run: who changes trials takes over the position
that the new one has, without paying for the change. The best is by Sharpe ratio, whatever the request's objective:
any stretch of daily returns has one, while a profit factor needs trades.

Source: Pardo (2008), The Evaluation and Optimization of Trading Strategies, chapter 11.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from tickloom.kernel import F64, I64
from tickloom.sharpe import sharpe_ratios

STRETCHES: Final = 8
"""Into how many stretches the days are cut; the first `PAST` are never traded."""
PAST: Final = 2
"""Stretches that a rolling choice looks back on, and that an anchored one starts with."""
SHORTEST: Final = 5
"""Days that a stretch has at least."""


@dataclass(frozen=True)
class WalkForward:
    """One way of walking forward.

    chosen             (n_stretches - PAST,), the trial that was lived with
    start              the first day out of sample
    returns            (n_days - start,), out of sample
    in_sample_sharpe   mean of the chosen trials' Sharpe ratios on the days that they were chosen by
    out_of_sample_sharpe  of `returns`; both per day, None where undefined
    """

    chosen: I64
    start: int
    returns: F64
    in_sample_sharpe: float | None
    out_of_sample_sharpe: float | None


def edges_of(n_days: int) -> list[int]:
    """Return the first day of each stretch, and the day behind the last one."""
    return [n_days * k // STRETCHES for k in range(STRETCHES + 1)]


def walk_forward(returns: F64, anchored: bool) -> WalkForward | None:
    """Walk over the trials' returns (n_days, n_trials); None when the record is too short for it."""
    n_days, n_trials = returns.shape
    if n_days < STRETCHES * SHORTEST or not n_trials:
        return None
    edges = edges_of(n_days)
    chosen, inside, outside = [], [], []
    for k in range(PAST, STRETCHES):
        past = sharpe_ratios(returns[0 if anchored else edges[k - PAST] : edges[k]])
        # A trial that has not traded yet has no ratio: it is chosen only when no other has one either.
        best = int(np.argmax(np.where(np.isnan(past), -np.inf, past)))
        chosen.append(best)
        inside.append(past[best])
        outside.append(returns[edges[k] : edges[k + 1], best])
    together = np.concatenate(outside)
    ratio = sharpe_ratios(together[:, None])[0]
    known = [value for value in inside if not np.isnan(value)]
    return WalkForward(
        np.array(chosen),
        edges[PAST],
        together,
        float(np.mean(known)) if known else None,
        None if np.isnan(ratio) else float(ratio),
    )
