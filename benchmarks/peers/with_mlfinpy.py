"""With mlfinpy: the only peer with imbalance and run bars of López de Prado. Runs in an environment of its own."""

import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")

from mlfinpy.data_structure import imbalance_bars, run_bars  # noqa: E402

_trades = pd.DataFrame()


def versions() -> dict[str, str]:
    """Return the versions that matter here."""
    return {"mlfinpy": version("mlfinpy")}


def load(columns: str) -> None:
    """Keep all trades in memory for information_bars."""
    global _trades
    with np.load(columns) as file:
        times = pd.to_datetime(file["ts"], unit="us")
        _trades = pd.DataFrame({"date_time": times, "price": file["price"], "volume": file["quantity"]})


def information_bars(spec: dict[str, Any], rows: int) -> int:
    """Build imbalance or run bars of the first trades, E[T] averaged; return their number."""
    module = run_bars if spec["kind"].endswith("run") else imbalance_bars
    expected = spec["expected_trades"]
    function = getattr(module, f"get_ema_{spec['kind']}_bars")
    constraints = [0.25 * expected, 4 * expected]
    bars, _ = function(
        _trades.iloc[:rows],
        num_prev_bars=20,
        expected_imbalance_window=10_000,
        exp_num_ticks_init=expected,
        exp_num_ticks_constraints=constraints,
        verbose=False,
    )
    return 0 if bars is None else len(bars)
