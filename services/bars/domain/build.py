"""Trades of one partition to the bars that close in it, with the bar left open carried to the next partition."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.bars.domain.rule import Rule
from services.bars.kernels import aggregate as columns
from services.bars.kernels.aggregate import COLUMNS, LIMIT, aggregate
from services.bars.kernels.clock import time_bar_ends
from services.bars.kernels.dollar import dollar_bar_ends
from services.bars.kernels.tick import tick_bar_ends
from services.bars.kernels.volume import volume_bar_ends
from tickloom.errors import ExactnessLost
from tickloom.kernel import I8, I64

SUMS = ("n_trades", "volume", "notional", "buy_volume", "buy_notional")


@dataclass(frozen=True)
class Trades:
    """Trades in id order, all arrays (n_trades,): prices and quantities in units of the symbol's scales."""

    ids: I64
    ts: I64
    price: I64
    quantity: I64
    side: I8


@dataclass(frozen=True)
class State:
    """What one partition leaves to the next: the bar still open, and the latest time seen (-1: none)."""

    bar: I64 = field(default_factory=lambda: np.zeros(len(COLUMNS), np.int64))
    latest: int = -1

    def to_json(self) -> dict[str, Any]:
        return {"bar": self.bar.tolist(), "latest": self.latest}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "State":
        return cls(np.array(value["bar"], np.int64), int(value["latest"]))

    def open_bar(self) -> dict[str, int] | None:
        """Return the bar still open by column, or None."""
        if self.bar[columns.N_TRADES] == 0:
            return None
        return dict(zip(COLUMNS, self.bar.tolist(), strict=True))


@dataclass(frozen=True)
class Bars:
    """Closed bars: integer columns (n_bars,) in units, `ts_open` and `ts_close` among them."""

    columns: dict[str, I64]

    @property
    def n_bars(self) -> int:
        return int(self.columns["ts_close"].size)

    def sums(self) -> dict[str, int]:
        """Return exact sums over the bars."""
        return {name: sum(self.columns[name].tolist()) for name in SUMS if name in self.columns}


def close_bars(trades: Trades, rule: Rule, state: State, until: int) -> tuple[Bars, State]:
    """Return the bars that close while these trades are read, and the state for the next partition.

    `until` is the end of the partition's day in microseconds: no trade before it is still to come.

    Trades are taken in the order of their ids. A trade stamped earlier than one before it counts at the latest time
    seen so far: only then could anybody have known of it in this order. So `ts_close` never decreases.
    Raises ExactnessLost when a bar's sum needs more than 18 digits.
    """
    if trades.ids.size and (trades.price > LIMIT // trades.quantity).any():
        raise ExactnessLost("the notional of a trade", "price times quantity has more than 18 digits")
    ts = np.maximum.accumulate(np.maximum(trades.ts, state.latest))
    ends = _ends(trades, ts, rule, state, until)
    rows, left, bad = aggregate(trades.ids, ts, trades.price, trades.quantity, trades.side, ends, state.bar)
    if bad >= 0:
        raise ExactnessLost("a bar's sum", f"it has more than 18 digits at trade {trades.ids[bad]}")
    bars = dict(zip(COLUMNS, rows, strict=True))
    first, last = bars.pop("ts_first"), bars.pop("ts_last")
    if rule.kind == "time":
        first = first - first % rule.size
        last = first + rule.size
    latest = int(ts[-1]) if ts.size else state.latest
    return Bars({"ts_open": first, "ts_close": last, **bars}), State(left, latest)


def _ends(trades: Trades, ts: I64, rule: Rule, state: State, until: int) -> I64:
    bar = state.bar
    if rule.kind == "time":
        first = int(bar[columns.TS_FIRST])
        opened = first - first % rule.size if bar[columns.N_TRADES] else -1
        return time_bar_ends(ts, rule.size, opened, until)[0]
    if rule.kind == "tick":
        return tick_bar_ends(trades.ids.size, rule.size, int(bar[columns.N_TRADES]))[0]
    if rule.kind == "volume":
        return volume_bar_ends(trades.quantity, rule.size, int(bar[columns.VOLUME]))[0]
    return dollar_bar_ends(trades.price, trades.quantity, rule.size, int(bar[columns.NOTIONAL]))[0]
