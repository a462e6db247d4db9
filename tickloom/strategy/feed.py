"""Feeds: the market data of a run, in the order in which it was known."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np

from tickloom.kernel import F64, I8, I64

Within = TypeVar("Within")
"""What a bar has within it."""


class Trade(NamedTuple):
    """One trade of the market: time in microseconds UTC, quote per base, base, +1 where the buyer was the aggressor."""

    ts: int
    price: float
    quantity: float
    aggressor_side: int


class TradeColumns(Sequence[Sequence[Trade]]):
    """The trades of each bar, out of columns: a bar's are made when it is played, and kept no longer.

    ts, price, quantity, aggressor_side  (n_trades,), as in `Trade`, in the order in which they came
    ends                                 (n_bars,), not decreasing: where the trades of the next bar begin

    Raises ValueError on columns of other lengths, and on ends that do not cut them into bars.
    """

    def __init__(self, ts: I64, price: F64, quantity: F64, aggressor_side: I8, ends: I64) -> None:
        self._columns = (ts, price, quantity, aggressor_side)
        self._cuts = [0, *ends.tolist()]
        if any(column.shape != ts.shape for column in self._columns):
            raise ValueError("trades: their columns are not of one length")
        if self._cuts[-1] != ts.size or any(end < start for start, end in pairwise(self._cuts)):
            raise ValueError("ends: do not cut the trades into bars, one after another up to the last")

    def __len__(self) -> int:
        return len(self._cuts) - 1

    @overload
    def __getitem__(self, bar: int) -> Sequence[Trade]: ...
    @overload
    def __getitem__(self, bar: slice) -> Sequence[Sequence[Trade]]: ...
    def __getitem__(self, bar: int | slice) -> Sequence[Trade] | Sequence[Sequence[Trade]]:
        """Return the trades of a bar; of a slice of bars, those of each."""
        if isinstance(bar, slice):
            return [self[k] for k in range(*bar.indices(len(self)))]
        at = range(len(self))[bar]
        within = slice(self._cuts[at], self._cuts[at + 1])
        return list(map(Trade, *(column[within].tolist() for column in self._columns)))


class Spliced(Sequence[Within]):
    """The first `cut` items of a sequence, then its first one again and again; each is read when it is asked for."""

    def __init__(self, items: Sequence[Within], cut: int, n: int) -> None:
        self._items, self._cut, self._n = items, cut, n

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, bar: int) -> Within: ...
    @overload
    def __getitem__(self, bar: slice) -> Sequence[Within]: ...
    def __getitem__(self, bar: int | slice) -> Within | Sequence[Within]:
        """Return what a bar has; of a slice of bars, what each has."""
        if isinstance(bar, slice):
            return [self[k] for k in range(*bar.indices(self._n))]
        at = range(self._n)[bar]
        return self._items[at if at < self._cut else 0]


@dataclass(frozen=True)
class Bars:
    """Bars in time order; all arrays are (n_bars,).

    ts_open, ts_close  microseconds UTC; a bar is known at its close
    volume, volatility base traded, and the standard deviation of returns over a year; needed only by rules that read it
    trades             the trades of each bar, where they are to be played: then orders fill against them. Any sequence
                       will do, so they may be read bar by bar: `TradeColumns`
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
    trades: Sequence[Sequence[Trade]] = ()
    inside: Sequence[Sequence[float]] = ()
    inside_fills: bool = False

    def __post_init__(self) -> None:
        n = self.close.size
        for name in ("open", "high", "low", "ts_open", "ts_close"):
            if getattr(self, name).shape != (n,):
                raise ValueError(f"{name}: has shape {getattr(self, name).shape}, the closes have ({n},)")
        for name in ("trades", "inside"):
            if (given := len(getattr(self, name))) and given != n:
                raise ValueError(f"{name}: are of {given} bars, and there are {n}")

    @property
    def n_bars(self) -> int:
        return int(self.close.size)

    def head(self, n_bars: int) -> "Bars":
        """Return the first bars."""
        n_bars = len(range(self.n_bars)[:n_bars])
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        columns: dict[str, Any] = {name: v[:n_bars] for name, v in found.items() if isinstance(v, np.ndarray)}
        return replace(self, **columns, **self.spliced(n_bars, n_bars))

    def spliced(self, cut: int, n_bars: int) -> dict[str, Any]:
        """Return `trades` and `inside`, where there are any: of the first `cut` bars, then the first's up to n_bars."""
        within = {"trades": self.trades, "inside": self.inside}
        return {name: Spliced(of_bars, cut, n_bars) for name, of_bars in within.items() if len(of_bars)}
