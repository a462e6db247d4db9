"""The mistakes that backtests are known to make about time, each planted in the stage where people make it.

RELIABILITY.md C1b lists twelve. A scaler fit on all data is planted as the feature that it is; labels that overlap from
the training into the test set, as a walk forward that chooses by a day too many.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.backtest.domain import walk_forward as walking
from services.backtest.domain.inside import Opener
from services.backtest.kernels.engine import run_full
from services.backtest.kernels.types import STOP, Signal
from services.bars import remote as bars
from services.features.domain.catalogue import CATALOGUE, Feature
from services.features.kernels.rolling import sma
from services.signals.domain.rules import Rules
from services.signals.kernels.masks import Changes

Plant = Callable[[pytest.MonkeyPatch], None]


def feature(compute: Callable[[Any, int], Any]) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setitem(CATALOGUE, "sma", Feature(lambda bars, _, n: (compute(bars["close"], n),), lambda n: n - 1))

    return plant


def shifted(close: Any, n: int) -> Any:
    return np.append(sma(close, n)[1:], np.nan)


def centred(close: Any, n: int) -> Any:
    half = n // 2
    means = [close[i - half : i + half + 1].mean() for i in range(half, close.size - half)]
    none = np.full(close.size, np.nan)
    none[half : half + len(means)] = means
    return none


def backfilled(close: Any, n: int) -> Any:
    mean = sma(close, n)
    known = np.flatnonzero(np.isfinite(mean))
    return np.r_[np.full(known[0], mean[known[0]]), mean[known[0] :]] if known.size else mean


def z_score_of_all(close: Any, n: int) -> Any:
    return (close - close.mean()) / (close.std() + 1e-9)


def scaled_by_all(close: Any, n: int) -> Any:
    return (close - close.min()) / (close.max() - close.min() + 1e-9)


def joined_forward(close: Any, n: int) -> Any:
    """The close of every fourth bar, as merge_asof(direction="forward") gives it to the bars before it."""
    following = (np.arange(close.size) + 3) // 4 * 4
    return np.where(following < close.size, close[np.minimum(following, close.size - 1)], np.nan)


def left_labelled(patch: pytest.MonkeyPatch) -> None:
    true = bars.close_bars

    def close_bars(*args: Any) -> Any:
        made, state = true(*args)
        return replace(made, columns={**made.columns, "ts_close": made.columns["ts_open"]}), state

    patch.setattr(bars, "close_bars", close_bars)


def future_universe(patch: pytest.MonkeyPatch) -> None:
    """Trade those alone that will have gained by the end."""
    true = Rules.changes

    def changes(self: Rules, grid: Any, columns: Any, n_bars: int) -> Any:
        found = true(self, grid, columns, n_bars)
        return found if columns["close"][-1] > columns["close"][0] else [nothing for _ in found]

    nothing = Changes(np.empty(0, np.int64), np.empty(0, np.int8))
    patch.setattr(Rules, "changes", changes)


def engine(change: Callable[[Any, Any, Any], tuple[Any, Any]]) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        def full(self: Opener, signal: Any, rules: Any) -> Any:
            return run_full(*change(self.prices, signal, rules), rules)

        patch.setattr(Opener, "full", full)

    return plant


def at_the_same_close(prices: Any, signal: Any, rules: Any) -> Any:
    """Fill at the close of the bar whose close gave the signal."""
    later = signal.bar > 0
    return prices._replace(open=prices.close), Signal(signal.bar[later] - 1, signal.mask[later])


def at_the_low(prices: Any, signal: Any, rules: Any) -> Any:
    """Fill at a low that is known once the bar is over."""
    return prices._replace(open=prices.low), signal


def stop_without_a_gap(patch: pytest.MonkeyPatch) -> None:
    """Fill every stop at its price, also where the market jumped over it."""
    true = Opener.full

    def full(self: Opener, signal: Any, rules: Any) -> Any:
        outcome, daily, curve, trades = true(self, signal, rules)
        at_stop = trades.entry_fill * (1.0 - trades.side * rules.stop_loss_rate)
        exits = np.where(trades.reason == STOP, at_stop, trades.exit_fill)
        return outcome, daily, curve, trades._replace(exit_fill=exits)

    patch.setattr(Opener, "full", full)


def overlapping_labels(patch: pytest.MonkeyPatch) -> None:
    """Choose by the first day of the stretch too: its label was not purged from the training set."""
    true = walking.walk_forward

    def walk_forward(returns: Any, anchored: bool) -> Any:
        found, later = true(returns, anchored), true(np.roll(returns, -1, axis=0), anchored)
        return found if found is None or later is None else replace(found, chosen=later.chosen)

    patch.setattr(walking, "walk_forward", walk_forward)


BUGS: dict[str, tuple[Plant, str, str]] = {
    "shift(-1)": (feature(shifted), "features", r"sma_\d"),
    "a centred window": (feature(centred), "features", r"sma_\d"),
    "bfill": (feature(backfilled), "features", r"sma_\d"),
    "a z-score over the full sample": (feature(z_score_of_all), "features", r"sma_\d"),
    "a left-labelled resample": (left_labelled, "bars", ".*"),
    "a fill at the same bar's close": (engine(at_the_same_close), "fills", "event|price"),
    "a low known before the close": (engine(at_the_low), "fills", "price|quantity"),
    "a stop at an unreached price": (stop_without_a_gap, "fills", "exit_price"),
    "a scaler fit on all data": (feature(scaled_by_all), "features", r"sma_\d"),
    "a universe of the future": (future_universe, "signals", "mask"),
    "merge_asof forward": (feature(joined_forward), "features", r"sma_\d"),
}
"""Name -> how to plant it, and the stage and column that must be named."""
