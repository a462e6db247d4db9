"""Examples of compiled strategies: copy one to begin with."""

from math import nan
from typing import NamedTuple

from tickloom.strategy.compiled import LONG_ENTRY, LONG_EXIT, Account, Bar, CompiledStrategy


class CrossParameters(NamedTuple):
    """Spans of the averages in bars; the least gap between fast and slow at an entry, as a fraction of the close."""

    fast: int = 12
    slow: int = 26
    trend: int = 200
    gap_rate: float = 0.0005


class CrossState(NamedTuple):
    """The averages, and whether what an entry asks for was already there."""

    fast: float
    slow: float
    trend: float
    was_ready: bool


def _start(_parameters: CrossParameters) -> CrossState:
    return CrossState(nan, nan, nan, True)


def _decide(bar: Bar, _account: Account, state: CrossState, parameters: CrossParameters) -> tuple[int, CrossState]:
    """Buy once the fast average is clear of the slow one, in an upward trend; sell where it is below again."""
    close = bar.close
    fast, slow, trend = state.fast, state.slow, state.trend
    if bar.number == 0:
        fast = slow = trend = close
    fast += 2.0 / (parameters.fast + 1) * (close - fast)
    slow += 2.0 / (parameters.slow + 1) * (close - slow)
    trend += 2.0 / (parameters.trend + 1) * (close - trend)
    is_ready = fast - slow > parameters.gap_rate * close and close > trend
    mask = LONG_EXIT if fast < slow else LONG_ENTRY if is_ready and not state.was_ready else 0
    return mask, CrossState(fast, slow, trend, is_ready)


ema_cross = CompiledStrategy(_decide, _start, CrossParameters)
"""Exponential moving averages that cross, with a trend as a filter; the stop is the account's `stop_loss_rate`."""
