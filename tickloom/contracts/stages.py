"""The six stages in their order, and what each is asked with."""

from typing import Final

from tickloom.contracts import backtest, bars, download, features, signals, viz
from tickloom.contracts.base import Contract

REQUESTS: Final[dict[str, type[Contract]]] = {
    "download": download.DownloadRequest,
    "bars": bars.BarsRequest,
    "features": features.FeaturesRequest,
    "signals": signals.SignalsRequest,
    "backtest": backtest.BacktestRequest,
    "viz": viz.VizRequest,
}
"""Stage name -> request model, in the order of the pipeline."""

STAGES: Final[tuple[str, ...]] = tuple(REQUESTS)

VERSIONS: Final[dict[str, int]] = {
    "download": download.VERSION,
    "bars": bars.VERSION,
    "features": features.VERSION,
    "signals": signals.VERSION,
    "backtest": backtest.VERSION,
    "viz": viz.VERSION,
}
"""Stage name -> version of its computation. It is part of every artifact id: raise it when results change."""


def stage_before(stage: str) -> str | None:
    """Return the stage whose artifact is this stage's input; None for the first."""
    index = STAGES.index(stage)
    return STAGES[index - 1] if index else None
