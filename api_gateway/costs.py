"""What a stage costs in time and memory, by its rows, trials and columns: measured once, scaled by what this system's
own last runs took. docs/api.md says how far that may be off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from api_gateway.row_counts import columns_of
from tickloom.contracts.features import FeaturesRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.ledger.pace import Finished

FACTOR = 4.0
"""Of time and memory: what is expected is this far from the bounds, on top of what is not known of the rows."""
FEWEST = 3
"""Runs that are believed: the first one after an installation compiles."""
TRIAL_S = 2e-4
"""Of a trial besides its bars: metrics, and writing it down."""


@dataclass(frozen=True)
class Work:
    """What a stage has to do.

    rows     bars or trades of all symbols
    trials   parameter sets, of one symbol
    columns  of the features
    n_days   of the data, for the daily returns of every trial
    shared   all symbols are traded on one account
    """

    rows: int
    trials: int = 1
    columns: int = 14
    n_days: int = 365
    shared: bool = False


def seconds_of(stage: str, work: Work) -> float:
    """Return what a stage took on one core of the machine that the constants were measured on.

    A backtest's bars and days count by themselves too: the best trial is run some 260 times more to judge it, and its
    days are drawn anew a thousand times. Of an account of many symbols it is run some 60 times more, at 10 million bars
    a second.
    """
    rows = work.rows
    match stage:
        case "download":
            return 0.5 + rows * 8e-7
        case "bars":
            return 0.15 + rows * 1.5e-7
        case "features":
            return 0.1 + rows * work.columns * 5e-8
        case "signals":
            return 0.15 + rows * work.trials * 2e-8 + work.trials * 3e-4
        case "backtest":
            runs = rows * (1e-7 if work.shared else 3e-9) + TRIAL_S
            return 0.15 + work.trials * runs + rows * (1e-5 if work.shared else 4e-6) + work.n_days * 3e-4
        case _:
            return 0.5 + rows * 4e-6


def bytes_of(stage: str, work: Work) -> float:
    """Return what a stage adds to the memory of the process that needs most, with all rows in one symbol."""
    rows, trials, days = work.rows, work.trials, work.n_days
    match stage:
        case "download":
            return 1e8 + min(rows, 4_000_000) * 60
        case "bars":
            return 4e7 + min(rows, 1_000_000) * 120
        case "features":
            return 2e7 + rows * work.columns * 16
        case "signals":
            return 2e7 + rows * (work.columns * 4 + min(trials, 32) * 2 + 20)
        case "backtest":
            return 1e7 + rows * (300 if work.shared else 100) + days * (trials * 24 + 107_000)
        case _:
            return 3e7 + rows * 400


def scale_of(stage: str, finished: Sequence[Finished]) -> float:
    """Return how much longer this system takes than the constants say, by its last runs; 1 while they are too few."""
    ratios = [run.seconds / seconds_of(stage, _work_of(stage, run)) for run in finished]
    return min(max(median(ratios), 0.1), 10.0) if len(ratios) >= FEWEST else 1.0


def _work_of(stage: str, run: Finished) -> Work:
    """Return what a run had to do; the progress of a search counts its bars once for each trial."""
    if stage == "features":
        return Work(run.rows, columns=columns_of(FeaturesRequest.model_validate(run.request)))
    if stage == "signals":
        trials = SignalsRequest.model_validate(run.request).n_combinations()
        return Work(run.rows // trials, trials)
    if stage == "backtest" and run.n_trials:
        shared = run.request.get("portfolio") is not None
        return Work(run.rows // (run.n_trials + 2), run.n_trials, shared=shared)
    return Work(run.rows)
