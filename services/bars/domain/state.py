"""What goes into a partition's bars and what comes out: trades, bars, and the state between partitions."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from services.bars.kernels.aggregate import COLUMNS, LIMIT, VOLUME
from tickloom.errors import ExactnessLost
from tickloom.kernel import F64, I8, I64

SUMS = ("n_trades", "volume", "notional", "buy_volume", "buy_notional")


@dataclass(frozen=True)
class Trades:
    """Trades in id order, all arrays (n_trades,): prices and quantities in units of the symbol's scales."""

    ids: I64
    ts: I64
    price: I64
    quantity: I64
    side: I8

    def cut(self, start: int, end: int) -> "Trades":
        """Return the trades from start up to end, end left out."""
        at = slice(start, end)
        return Trades(self.ids[at], self.ts[at], self.price[at], self.quantity[at], self.side[at])

    def finer(self, price_places: int, quantity_places: int) -> "Trades":
        """Return the trades in units that are 10**places smaller. Raises ExactnessLost where that needs 19 digits."""
        price, quantity = _finer(self.price, price_places), _finer(self.quantity, quantity_places)
        return replace(self, price=price, quantity=quantity)


def _finer(values: I64, places: int) -> I64:
    if not places or not values.size:
        return values
    if int(values.max()) * 10**places > LIMIT:
        raise ExactnessLost("a trade", f"in units of a threshold with {places} more decimal places it has 19 digits")
    return values * np.int64(10**places)


@dataclass(frozen=True)
class State:
    """What one partition leaves to the next; a few numbers, whatever the rule.

    bar       (13,) the bar still open, by COLUMNS
    latest    the latest time seen, microseconds; -1: none
    sums      (21,) those of the microstructure of that bar, by the names of its kernel; (0,) where nobody asked for it
    memory    what the rule remembers beyond the open bar, in whole numbers; (): nothing yet
    averages  what it remembers in float64; as JSON they are hexadecimal, and so exact
    """

    bar: I64 = field(default_factory=lambda: np.zeros(len(COLUMNS), np.int64))
    latest: int = -1
    memory: tuple[int, ...] = ()
    averages: tuple[float, ...] = ()
    sums: I64 = field(default_factory=lambda: np.zeros(0, np.int64))

    def to_json(self) -> dict[str, Any]:
        averages = [float(value).hex() for value in self.averages]
        bar = {"bar": self.bar.tolist(), "sums": self.sums.tolist() if self.sums.any() else []}
        return {**bar, "latest": self.latest, "memory": [*self.memory], "averages": averages}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "State":
        averages = tuple(map(float.fromhex, value["averages"]))
        bar, sums = np.array(value["bar"], np.int64), np.array(value["sums"], np.int64)
        return cls(bar, int(value["latest"]), tuple(value["memory"]), averages, sums)

    @property
    def is_open(self) -> bool:
        """Whether a bar is open."""
        return bool(self.bar[VOLUME])

    def open_bar(self) -> dict[str, int] | None:
        """Return the bar still open by column, or None."""
        return dict(zip(COLUMNS, self.bar.tolist(), strict=True)) if self.is_open else None


@dataclass(frozen=True)
class Bars:
    """Closed bars: integer columns (n_bars,) in units, `ts_open` and `ts_close` among them; how often guards fired.

    ratios  columns that are no whole numbers of units, (n_bars,) float64, NaN where one is not defined
    """

    columns: dict[str, I64]
    guards: dict[str, int] = field(default_factory=dict)
    ratios: dict[str, F64] = field(default_factory=dict)

    @property
    def n_bars(self) -> int:
        return int(self.columns["ts_close"].size)

    def sums(self) -> dict[str, int]:
        """Return exact sums over the bars."""
        return {name: sum(self.columns[name].tolist()) for name in SUMS if name in self.columns}


def joined(several: list[Bars]) -> Bars:
    """Return bars, at least one piece of them, one after another."""
    if len(several) == 1:
        return several[0]
    columns = {name: np.concatenate([bars.columns[name] for bars in several]) for name in several[0].columns}
    ratios = {name: np.concatenate([bars.ratios[name] for bars in several]) for name in several[0].ratios}
    guards = {name: sum(bars.guards.get(name, 0) for bars in several) for bars in several for name in bars.guards}
    return Bars(columns, guards, ratios)
