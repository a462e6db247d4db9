"""The features that Tickloom ships: from a request's words to kernels, columns and warm-up lengths.

To add one: a kernel, a contract in tickloom/contracts/features.py, and one entry in CATALOGUE.

Two lengths say when a value may be trusted. `warmup` rows at the front are NaN: the window is not full yet (TA-Lib's
lookback). After `settled` rows the start of the data no longer matters: data that begin later give the same value, to
1e-9 of its scale. For a window the two are one; a recursive average needs more, for its seed fades by a factor a bar.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from services.features.kernels.atr import atr
from services.features.kernels.bbands import bbands
from services.features.kernels.donchian import donchian
from services.features.kernels.ema import ema
from services.features.kernels.returns import log_return, mom, volatility
from services.features.kernels.rolling import sma
from services.features.kernels.rsi import rsi
from services.features.kernels.zscore import zscore
from tickloom.contracts.features import FeatureSpec
from tickloom.kernel import F64

FADED = 1e-12
"""What is left of a recursive average's seed once it counts as settled."""

INPUTS = ("high", "low", "close", "volume")
"""The bar columns that features are computed from, float64."""

Bars = Mapping[str, F64]


@dataclass(frozen=True)
class Feature:
    """How one kind of feature is computed, and when its values may be trusted."""

    compute: Callable[[Bars, Any, int], tuple[F64, ...]]
    warmup: Callable[[int], int]
    fade: Callable[[int], float] | None = None

    def settled(self, timeperiod: int) -> int:
        """Return the rows after which the start of the data no longer matters."""
        kept = self.fade(timeperiod) if self.fade else 0.0
        return self.warmup(timeperiod) + (math.ceil(math.log(FADED) / math.log(kept)) if kept > 0 else 0)


@dataclass(frozen=True)
class Column:
    """One feature column: its name, its values (n_bars,), and the two lengths in rows."""

    name: str
    values: F64
    warmup: int
    settled: int


def _window(timeperiod: int) -> int:
    return timeperiod - 1


def _changes(timeperiod: int) -> int:
    return timeperiod


def _ema_fade(timeperiod: int) -> float:
    return (timeperiod - 1) / (timeperiod + 1)


def _wilder_fade(timeperiod: int) -> float:
    return (timeperiod - 1) / timeperiod


CATALOGUE: dict[str, Feature] = {
    "sma": Feature(lambda bars, _, n: (sma(bars["close"], n),), _window),
    "ema": Feature(lambda bars, _, n: (ema(bars["close"], n),), _window, _ema_fade),
    "rsi": Feature(lambda bars, _, n: (rsi(bars["close"], n),), _changes, _wilder_fade),
    "atr": Feature(lambda bars, _, n: (atr(bars["high"], bars["low"], bars["close"], n),), _changes, _wilder_fade),
    "bbands": Feature(lambda bars, spec, n: bbands(bars["close"], n, spec.nbdevup, spec.nbdevdn), _window),
    "donchian": Feature(lambda bars, _, n: donchian(bars["high"], bars["low"], n), _window),
    "log_return": Feature(lambda bars, _, n: (log_return(bars["close"], n),), _changes),
    "volatility": Feature(lambda bars, _, n: (volatility(bars["close"], n),), _changes),
    "mom": Feature(lambda bars, _, n: (mom(bars["close"], n),), _changes),
    "volume_zscore": Feature(lambda bars, _, n: (zscore(bars["volume"], n),), _window),
}
"""Feature name -> how it is computed."""


def compute(bars: Bars, features: Iterable[FeatureSpec]) -> list[Column]:
    """Compute every feature over bars in time order: `bars` holds INPUTS, each (n_bars,). Inputs are not changed."""
    columns = []
    for spec in features:
        feature = CATALOGUE[spec.name]
        for timeperiod in spec.periods():
            lines = feature.compute(bars, spec, timeperiod)
            for name, values in zip(spec.columns(timeperiod), lines, strict=True):
                columns.append(Column(name, values, feature.warmup(timeperiod), feature.settled(timeperiod)))
    return columns
