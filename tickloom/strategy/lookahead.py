"""Whether an indicator looks ahead: its past must not change when its future is taken away, or is another one.

A column made of whole days, each labelled by its start, changes nothing where it is cut at the end of a day. So cuts
come in pairs, one bar apart: whatever the grid, one of the two is off it. What fills gaps backwards, or compares with a
highest or lowest of all, shows itself when what comes after a bar is replaced by prices far above or below.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from tickloom.kernel import F64
from tickloom.strategy.feed import Bars

SEED = 20
FACTORS = (16.0, 1 / 16)
"""How far off prices after a cut are: so that nothing made of them stays what it was."""
_PRICES = ("open", "high", "low", "close")
_FLOWS = ("volume", "volatility")


class LooksAhead(ValueError):
    """An indicator's past changes with its future."""


def check(function: Callable[[Bars], F64], bars: Bars, values: F64) -> None:
    """Raise LooksAhead when `values`, which `function` made of the bars, hang on a later bar.

    The function is called on two shorter feeds, at least two thirds of the bars long, and on four whole ones.
    """
    name = getattr(function, "__name__", str(function))
    n, random = bars.n_bars, np.random.default_rng(SEED)
    for cut in _pair(random, 2 * n // 3, n):
        _compare(function(bars.head(cut)), values, cut, f"{name}: its past changes with its future")
    thirds = (_pair(random, third * n // 3, (third + 1) * n // 3)[:1] for third in range(3))
    for k, cut in enumerate((1, *chain(*thirds)) if n > 1 else ()):
        other = poisoned(bars, cut, FACTORS[k % 2])
        _compare(function(other), values, cut, f"{name}: its past changes with other prices after it")


def _pair(random: np.random.Generator, start: int, end: int) -> tuple[int, ...]:
    """Return a cut and the next, at random from start to end (left out); fewer where there is no room."""
    first = int(random.integers(max(start, 1), max(end - 1, start + 1, 2)))
    return tuple(cut for cut in (first, first + 1) if 0 < cut < end)


def _compare(again: Any, values: F64, cut: int, what: str) -> None:
    head, known = np.asarray(again, np.float64)[:cut], values[:cut]
    if head.shape == known.shape:
        differs = head != known  # so does NaN from itself
        if np.isnan(head[differs]).all() and np.isnan(known[differs]).all():
            return
    raise LooksAhead(f"indicator {what} (as seen from bar {cut - 1})")


def poisoned(bars: Bars, cut: int, factor: float) -> Bars:
    """Return the bars with another market from bar `cut` on: at prices and volumes `factor` times as high.

    Its trades are those of the first bar, again and again: they are trades, and not those that there were.
    """

    def changed(values: F64) -> F64:
        other = values.copy()
        other[cut:] *= factor
        return other

    columns: dict[str, Any] = {name: changed(getattr(bars, name)) for name in (*_PRICES, *_FLOWS)}
    return replace(bars, **columns, **bars.spliced(cut, bars.n_bars))
