"""One UTC day of trades, as it goes into the lake: ordered by id, each id once, on one scale."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from services.download.domain.errors import BadRow
from services.download.domain.layouts import Layout
from services.download.domain.order import in_order
from services.download.domain.scale import decimal_text, exact_dot, exact_sum, on_one_scale
from services.download.kernels.rows import shortest
from services.download.kernels.trades import FIRST_ID, LAST_ID, PRICE, QUANTITY
from tickloom.kernel import I8, I64, Bool

NO_PRICE: Final = "the price is not positive"
NO_QUANTITY: Final = "the quantity is not positive"
NO_ID: Final = "the id is negative"
NO_RANGE: Final = "last_id is below first_id"


@dataclass(frozen=True)
class DayTrades:
    """Trades in id order. All arrays (n_trades,); `is_buyer_maker` 0 or 1, the ids of trades for aggregates alone."""

    trade_id: I64
    ts: I64
    price: I64
    quantity: I64
    is_buyer_maker: I8
    first_id: I64 | None
    last_id: I64 | None
    price_scale: int
    quantity_scale: int

    def facts(self) -> dict[str, Any]:
        """Return what a reader may want to know before it opens the partition. Sums are exact, as text."""
        scale = self.price_scale + self.quantity_scale
        return {
            "price_scale": self.price_scale,
            "quantity_scale": self.quantity_scale,
            "first_id": int(self.trade_id[0]),
            "last_id": int(self.trade_id[-1]),
            "first_ts": int(self.ts.min()),
            "last_ts": int(self.ts.max()),
            "quantity": decimal_text(exact_sum(self.quantity), self.quantity_scale),
            "notional": decimal_text(exact_dot(self.price, self.quantity), scale),
        }


def sentinels(rows: I64, layout: Layout) -> Bool:
    """Return which rows are sentinels: price and quantity 0 and ids -1, put where a voided duplicate was.

    Source: github.com/binance/binance-spot-api-docs, CHANGELOG, 2022-04-12.
    """
    slots = layout.slots
    if "first_id" not in slots:
        return np.zeros(len(rows), np.bool_)
    no_trade: Bool = (rows[:, slots["price"]] == 0) & (rows[:, slots["quantity"]] == 0)
    no_ids: Bool = (rows[:, slots["first_id"]] == -1) & (rows[:, slots["last_id"]] == -1)
    return np.logical_and(no_trade, no_ids)


def packed_sentinels(group: I64) -> Bool:
    """Return which trades of a packed block (7 or 5, n) are sentinels."""
    if len(group) <= FIRST_ID:
        return np.zeros(group.shape[1], np.bool_)
    no_trade: Bool = (group[PRICE] == 0) & (group[QUANTITY] == 0)
    no_ids: Bool = (group[FIRST_ID] == -1) & (group[LAST_ID] == -1)
    return np.logical_and(no_trade, no_ids)


def check_rows(name: str, line: int, rows: I64, layout: Layout, keep: Bool) -> None:
    """Raise BadRow for the first kept row that cannot be a trade. `line` is the line number of rows[0]."""
    slots = layout.slots
    faults = [
        (rows[:, slots["price"]] <= 0, NO_PRICE),
        (rows[:, slots["quantity"]] <= 0, NO_QUANTITY),
        (rows[:, slots["trade_id"]] < 0, NO_ID),
    ]
    if "first_id" in slots:
        faults.append((rows[:, slots["last_id"]] < rows[:, slots["first_id"]], NO_RANGE))
    wrong = np.stack([rows_of_fault & keep for rows_of_fault, _ in faults])
    if wrong.any():
        first = int(np.argmax(wrong.any(axis=0)))
        raise BadRow(name, line + first, faults[int(np.argmax(wrong[:, first]))][1])


def settle(name: str, rows: I64, layout: Layout) -> tuple[DayTrades, dict[str, int]]:
    """Return one day's trades in order, each once, and counts of what was out of order and what came twice.

    rows  (n, layout.width)  of one day, times in microseconds

    Raises ConflictingRows when two rows of one id differ, DoesNotFit when a decimal does not.
    """
    rows, counts = in_order(name, rows, layout.slots["trade_id"])
    day = as_trades(name, rows, rows[:0], layout)
    counts["time_reversals"] = int((np.diff(day.ts) < 0).sum())
    return day, counts


def as_trades(name: str, rows: I64, beside: I64, layout: Layout) -> DayTrades:
    """Return rows (n, layout.width) of a day, in order, as trades on scales that hold other rows of the day too.

    beside  (m, layout.width)  among them the finest of the day

    Raises DoesNotFit when a decimal does not.
    """
    slots, m = layout.slots, len(beside)
    both = np.concatenate([beside, rows]) if m else rows
    trade = trade_of(both[:, slots["trade_id"]])
    price, price_scale = on_one_scale(name, "price", decimal_columns(both, slots["price"]), where=trade)
    quantity, quantity_scale = on_one_scale(name, "quantity", decimal_columns(both, slots["quantity"]), where=trade)
    return DayTrades(
        trade_id=rows[:, slots["trade_id"]].copy(),
        ts=rows[:, slots["ts"]].copy(),
        price=price[0][m:],
        quantity=quantity[0][m:],
        is_buyer_maker=rows[:, slots["is_buyer_maker"]].astype(np.int8),
        first_id=rows[:, slots["first_id"]].copy() if "first_id" in slots else None,
        last_id=rows[:, slots["last_id"]].copy() if "last_id" in slots else None,
        price_scale=price_scale,
        quantity_scale=quantity_scale,
    )


def as_rows(columns: dict[str, I64], scales: dict[str, int], layout: Layout) -> I64:
    """Return columns (n,) of trades as the rows that `settle` takes, (n, layout.width)."""
    rows = np.empty((columns["trade_id"].size, layout.width), np.int64)
    for name, slot in layout.slots.items():
        if name in scales:
            shortest(columns[name], scales[name], rows[:, slot], rows[:, slot + 1])
        else:
            rows[:, slot] = columns[name]
    return rows


def trade_of(ids: I64) -> Callable[[int], str]:
    """Return what names a row in an error, by the ids of all rows."""
    return lambda at: f"trade {ids[at]}"


def decimal_columns(rows: I64, slot: int) -> tuple[I64, I64]:
    """Return (digits, places) of a decimal column."""
    return rows[:, slot], rows[:, slot + 1]
