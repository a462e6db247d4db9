"""Read an account of many symbols out of the lake, in the form of one symbol's run."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from services.viz.domain.account import basket
from services.viz.domain.run import Account, Bars
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.portfolio import PORTFOLIO
from tickloom.kernel import F64, I64
from tickloom.lake import Lake, floats

CURVE = ("ts", "equity", "drawdown", "buy_and_hold", "gross", "net", "n_held")


def account_of(lake: Lake, backtest: Manifest, equity: pa.Table) -> Account:
    """Return what only an account of many symbols has; `equity` is its table of CURVE."""
    told: dict[str, Any] = orjson.loads(lake.read_bytes(lake.entry(backtest, "portfolio.json")))
    worth = floats(equity["equity"])
    gross, net = (_share(floats(equity[name]), worth) for name in ("gross", "net"))
    return Account(_times(equity), gross, net, np.asarray(equity["n_held"]), told["symbols"], told["limits"])


def bars_of(lake: Lake, backtest: Manifest, equity: pa.Table) -> Bars:
    """Return the bars of the report's chart: the worth of all symbols bought and kept, and what the account traded."""
    ts, close = _times(equity), floats(equity["buy_and_hold"])
    opened, high, low = basket(close)
    fills = lake.read_table(lake.entry(backtest, f"fills/{PORTFOLIO}.parquet"))
    notional = floats(fills["quantity"]) * floats(fills["price"])
    row = np.minimum(after(ts, np.asarray(fills["ts"])), ts.size - 1)
    volume = np.bincount(row, weights=notional, minlength=ts.size).astype(np.float64)
    first = int(orjson.loads(lake.read_bytes(lake.entry(backtest, "portfolio.json")))["first_open_ts"])
    return Bars(np.concatenate([[first], ts[:-1]]), ts, opened, high, low, close, volume, 2)


def trades_of(table: pa.Table, ts: I64) -> pa.Table:
    """Return the trades with the rows of the account's curve in place of each symbol's own bars."""
    entry = after(ts, np.asarray(table["entry_ts"]))
    leave = after(ts, np.asarray(table["exit_ts"].fill_null(0)))
    is_open = np.asarray(table["is_open"].to_pylist(), np.bool_)
    table = table.set_column(
        table.column_names.index("entry_bar"), "entry_bar", pa.array(np.minimum(entry, ts.size - 1))
    )
    left = pa.array(np.minimum(leave, ts.size - 1), mask=is_open)
    return table.set_column(table.column_names.index("exit_bar"), "exit_bar", left)


def after(ts: I64, moments: I64) -> I64:
    """Return the row of the first close after each moment: that by which what opened then is known."""
    return np.searchsorted(ts, moments, "right")


def _times(equity: pa.Table) -> I64:
    return np.asarray(equity["ts"].to_numpy(), np.int64)


def _share(value: F64, equity: F64) -> F64:
    """Return an exposure as a fraction of equity; 0 once there is none left."""
    return np.where(equity > 0, value / np.where(equity > 0, equity, 1.0), 0.0)
