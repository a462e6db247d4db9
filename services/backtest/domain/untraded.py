"""Fills in bars in which nothing traded: at prices that were carried on, and that nobody could have had."""

from typing import Any

import numpy as np

from tickloom.kernel import F64, I8, I64


def untraded_fills(volume: F64, entry_bar: I64, exit_bar: I64) -> I8:
    """Return how many of each trade's first and last fill are in bars without volume, (n_trades,): 0, 1 or 2.

    volume    (n_bars,) base traded
    exit_bar  -1 for a trade that is open
    """
    is_empty = volume == 0.0
    n: I8 = is_empty[entry_bar].astype(np.int8) + (is_empty[exit_bar] & (exit_bar >= 0))
    return n


def untraded_facts(n_untraded: I8, pnl: F64) -> dict[str, Any]:
    """Return what to tell of a trial: how many fills and trades it concerns, and what these trades brought, net."""
    hit = n_untraded > 0
    return {"n_fills": int(n_untraded.sum()), "n_trades": int(hit.sum()), "pnl": float(pnl[hit].sum())}
