"""Canonical columns as Arrow tables: int64 ids and microseconds, exact decimals."""

import pyarrow as pa

from services.download.domain.klines import Klines
from services.download.domain.trades import DayTrades
from tickloom.lake import decimals


def trades_table(day: DayTrades) -> pa.Table:
    """Return `trade_id ts price quantity aggressor_side`, and `first_id last_id` of aggregate trades."""
    columns = {
        "trade_id": pa.array(day.trade_id),
        "ts": pa.array(day.ts),
        "price": decimals(day.price, day.price_scale),
        "quantity": decimals(day.quantity, day.quantity_scale),
        "aggressor_side": pa.array(day.aggressor_side),
    }
    if day.first_id is not None and day.last_id is not None:
        columns |= {"first_id": pa.array(day.first_id), "last_id": pa.array(day.last_id)}
    return pa.table(columns)


def klines_table(klines: Klines) -> pa.Table:
    """Return `ts_open ts_close open high low close volume`, and what else the source has."""
    order = ("ts_open", "ts_close", "open", "high", "low", "close", "volume", "n_trades", "notional", "buy_volume")
    return pa.table(
        {
            name: decimals(klines.columns[name], klines.scales[name])
            if name in klines.scales
            else pa.array(klines.columns[name])
            for name in (*order, "buy_notional")
            if name in klines.columns
        }
    )
