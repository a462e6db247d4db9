"""Feeds: the market data of a run, in the order in which it was known."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tickloom.kernel import F64, I64


class Trade(NamedTuple):
    """One trade of the market: time in microseconds UTC, quote per base, base, +1 where the buyer was the aggressor."""

    ts: int
    price: float
    quantity: float
    aggressor_side: int


@dataclass(frozen=True)
class Bars:
    """Bars in time order; all arrays are (n_bars,).

    ts_open, ts_close  microseconds UTC; a bar is known at its close
    volume, volatility base traded, and the standard deviation of returns over a year; needed only by rules that read it
    trades             the trades of each bar, where they are to be played: then orders fill against them
    inside             the prices of each bar's trades, where they are known and not played: they say in which order the
                       prices within a bar came, and with `inside_fills` what a stop fills at; docs/backtest.md
    """

    open: F64
    high: F64
    low: F64
    close: F64
    ts_open: I64
    ts_close: I64
    volume: F64 = field(default_factory=lambda: np.empty(0))
    volatility: F64 = field(default_factory=lambda: np.empty(0))
    trades: tuple[tuple[Trade, ...], ...] = ()
    inside: tuple[Sequence[float], ...] = ()
    inside_fills: bool = False

    def __post_init__(self) -> None:
        n = self.close.size
        for name in ("open", "high", "low", "ts_open", "ts_close"):
            if getattr(self, name).shape != (n,):
                raise ValueError(f"{name}: has shape {getattr(self, name).shape}, the closes have ({n},)")
        for name in ("trades", "inside"):
            if (given := getattr(self, name)) and len(given) != n:
                raise ValueError(f"{name}: are of {len(given)} bars, and there are {n}")

    @property
    def n_bars(self) -> int:
        return int(self.close.size)

    def head(self, n_bars: int) -> "Bars":
        """Return the first bars."""
        columns = {name: getattr(self, name)[:n_bars] for name in self.__dataclass_fields__ if name != "inside_fills"}
        return Bars(**columns, inside_fills=self.inside_fills)
