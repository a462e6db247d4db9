"""Canonical columns as Arrow tables: int64 ids and microseconds, exact decimals."""

from typing import Final

import pyarrow as pa

from services.download.domain.klines import Klines
from services.download.domain.trades import DayTrades
from tickloom.lake import BYTES, DELTA, PLAIN, STEPS, decimals, flags, integers, times

TRADES_PACKING: Final = {
    "trade_id": DELTA,
    "ts": DELTA,
    "price": STEPS._replace(statistics=False),
    "quantity": BYTES._replace(statistics=False),
    "is_buyer_maker": PLAIN._replace(statistics=False),
    "first_id": DELTA._replace(statistics=False),
    "last_id": DELTA._replace(statistics=False),
}
"""Measured on aggregate trades: every other way of a column is larger or slower."""


def trades_table(day: DayTrades, *, milliseconds: bool) -> pa.Table:
    """Return `trade_id ts price quantity is_buyer_maker`, and `first_id last_id` of aggregate trades.

    `milliseconds`: every time of the day is a whole one.
    """
    columns = {
        "trade_id": integers(day.trade_id),
        "ts": times(day.ts, milliseconds=milliseconds),
        "price": decimals(day.price, day.price_scale),
        "quantity": decimals(day.quantity, day.quantity_scale),
        "is_buyer_maker": flags(day.is_buyer_maker),
    }
    if day.first_id is not None and day.last_id is not None:
        columns |= {"first_id": integers(day.first_id), "last_id": integers(day.last_id)}
    return required(columns)


def required(columns: dict[str, pa.Array]) -> pa.Table:
    """Return a table whose columns have no nulls, and say so: it is written and read without looking for any."""
    schema = pa.schema([pa.field(name, column.type, nullable=False) for name, column in columns.items()])
    return pa.table(columns, schema)


def klines_table(klines: Klines) -> pa.Table:
    """Return `ts_open ts_close open high low close volume`, and what else the source has."""
    order = ("ts_open", "ts_close", "open", "high", "low", "close", "volume", "n_trades", "notional", "buy_volume")
    return pa.table(
        {
            name: decimals(klines.columns[name], klines.scales[name])
            if name in klines.scales
            else integers(klines.columns[name])
            for name in (*order, "buy_notional")
            if name in klines.columns
        }
    )
