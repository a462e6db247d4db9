"""A made market: any day's trades, any bars, ids by time, all from the dataset and nothing else."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar

import numpy as np

from exchange_sim.bars import Bars, day_bars, fill, join, merge
from exchange_sim.calendar import I64, Calendar, calendar
from exchange_sim.dataset import Dataset
from exchange_sim.intervals import DAY_US, Grid
from exchange_sim.symbols import SYMBOLS, Market, Rules
from exchange_sim.trades import EPOCH, Day, make_day

_Value = TypeVar("_Value")


class Recent(Generic[_Value]):
    """Keeps the values used last, up to a total weight. For all threads; two may make the same value at once."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._weight = 0
        self._values: OrderedDict[Hashable, tuple[_Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], _Value], weigh: Callable[[_Value], int]) -> _Value:
        """Return the value of a key, made now if it is not kept. A value heavier than the capacity is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]
        value = make()
        weight = weigh(value)
        with self._lock:
            if key not in self._values and weight <= self._capacity:
                self._values[key] = (value, weight)
                self._weight += weight
                while self._weight > self._capacity:
                    self._weight -= self._values.popitem(last=False)[1][1]
        return value


_DAYS: Recent[Day] = Recent(3_000_000)  # trades
_BARS: Recent[Bars] = Recent(500_000)  # bars


@dataclass(frozen=True)
class MadeMarket:
    """One symbol on one market of one dataset."""

    dataset: Dataset
    market: Market
    symbol: str

    @property
    def calendar(self) -> Calendar:
        return calendar(self.dataset.seed, self.dataset.trades_per_day, self.symbol, self.market)

    @property
    def rules(self) -> Rules:
        rules = SYMBOLS[self.symbol].rules(self.market)
        if rules is None:
            raise KeyError(f"{self.symbol} is not listed on {self.market}")
        return rules

    def day(self, index: int) -> Day:
        """Return the trades of day `index` since the listing."""
        key = (self.dataset.seed, self.dataset.trades_per_day, self.market, self.symbol, index)
        return _DAYS.get(
            key,
            lambda: make_day(self.dataset.seed, self.symbol, self.market, self.calendar, index),
            lambda day: int(day.quantity.size),
        )

    def klines(self, grid: Grid, opens: I64) -> Bars:
        """Return the bars that open at `opens`, neighbours on the grid. All of them must lie before 2100.

        Bars before the first trade ever are left out.
        """
        if opens.size == 0:
            raise ValueError("no opening time is given")
        start, end = int(opens[0]), int(grid.shift(opens[-1:], 1)[0])
        first, last = self._index(start), self._index(end - 1)
        if last < 0:
            raise ValueError("the symbol was not listed yet")
        base = Grid(grid.base, grid.offset)
        parts = join([self._day_bars(index, base) for index in range(max(first, 0), last + 1)])
        before = parts.take(np.flatnonzero(parts.ts_open < start))
        inside = parts.take(np.flatnonzero((parts.ts_open >= start) & (parts.ts_open < end)))
        close_before = int(self.calendar.close[first]) if first > 0 else None
        if before.n_bars:
            close_before = int(before.close[-1])
        wide = inside if base == grid or inside.n_bars == 0 else merge(inside, grid)
        return fill(wide, opens, grid, close_before)

    def agg_id_at(self, ts: int, end: date) -> int:
        """Return the id of the first aggregate trade at or after `ts` microseconds, among the days before `end`."""
        index, last = self._index(ts), self.calendar.index(end)
        if index < 0:
            return int(self.calendar.first_agg[0])
        if index >= last:
            return int(self.calendar.first_agg[max(last, 0)])
        return int(self.calendar.first_agg[index] + np.searchsorted(self.day(index).ts, ts, side="left"))

    def _day_bars(self, index: int, grid: Grid) -> Bars:
        key = (self.dataset.seed, self.dataset.trades_per_day, self.market, self.symbol, index, grid)
        return _BARS.get(key, lambda: day_bars(self.day(index), grid, self.rules), lambda bars: bars.n_bars)

    def _index(self, ts: int) -> int:
        return ts // DAY_US - (self.calendar.listed - EPOCH).days
