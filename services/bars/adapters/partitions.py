"""Partitions of trades and klines to arrays on a symbol's scales, and bars to tables."""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from services.bars.domain.state import Bars, Trades
from tickloom.contracts.artifact import FileEntry
from tickloom.errors import CorruptFile, ExactnessLost
from tickloom.kernel import F64, I64
from tickloom.lake import Lake, aggressor_sides, decimals, rescale, units

PRICES: Final = ("open", "high", "low", "close")
KLINE_SCALES: Final = {
    **dict.fromkeys(PRICES, "price_scale"),
    "volume": "quantity_scale",
    "buy_volume": "quantity_scale",
    "notional": "notional_scale",
    "buy_notional": "notional_scale",
}
BAR_SCALES: Final = {
    **KLINE_SCALES,
    "volume_imbalance": "quantity_scale",
    "signed_volume": "quantity_scale",
    "signed_notional": "notional_scale",
}
EXACT: Final = 2**53
"""Integers up to this are exact in float64."""

ORDER: Final = (
    "ts_open",
    "ts_close",
    "first_trade_id",
    "last_trade_id",
    *PRICES,
    "volume",
    "notional",
    "vwap",
    "n_trades",
    "buy_volume",
    "buy_notional",
    "bricks",
    "volume_imbalance",
    "signed_volume",
    "signed_notional",
    "signed_count",
)


def scales_of(entries: list[FileEntry]) -> dict[str, int]:
    """Return the scales that hold every partition's values: the largest of each kind."""
    kinds = sorted({kind for entry in entries for kind in entry.facts if kind.endswith("_scale")})
    scales = {kind: max(entry.facts.get(kind, 0) for entry in entries) for kind in kinds}
    scales.setdefault("notional_scale", scales["price_scale"] + scales["quantity_scale"])
    if scales["notional_scale"] > 18:
        places = scales["notional_scale"]
        raise ExactnessLost("the notional", f"price and quantity have {places} decimal places together")
    return scales


def load_trades(lake: Lake, entry: FileEntry, scales: dict[str, int], *, threads: bool = False) -> Trades:
    """Return one partition of trades on these scales; `threads` decodes its columns side by side."""
    # Ids rise from one trade to the next: where there are as many as lie between first and last, they are known.
    n, first = entry.rows or 0, entry.facts.get("first_id", 0)
    are_known = n > 0 and entry.facts.get("last_id", -1) - first == n - 1
    names = ("ts", "price", "quantity", "is_buyer_maker", *(() if are_known else ("trade_id",)))
    table = lake.read_table(entry, names, threads=threads)
    if table.num_rows != n:
        raise CorruptFile(entry.name, f"it has {table.num_rows} rows, not {n}")
    ts, side = table.column("ts").to_numpy(), aggressor_sides(table.column("is_buyer_maker"))
    ids = np.arange(first, first + n, dtype=np.int64) if are_known else table.column("trade_id").to_numpy()
    price = rescale(*units(table.column("price")), scales["price_scale"])
    return Trades(ids, ts, price, rescale(*units(table.column("quantity")), scales["quantity_scale"]), side)


def load_klines(lake: Lake, entry: FileEntry, scales: dict[str, int]) -> dict[str, I64]:
    """Return one partition of klines on these scales, by column."""
    table = lake.read_table(entry)
    return {
        name: rescale(*units(table.column(name)), scales[KLINE_SCALES[name]])
        if name in KLINE_SCALES
        else np.asarray(table.column(name).to_numpy(), np.int64)
        for name in table.column_names
    }


def bars_table(bars: Bars, scales: dict[str, int]) -> pa.Table:
    """Return bars as a table: exact decimals, `vwap` as float64 (NaN in a bar without volume), and ratios (null)."""
    table: dict[str, Any] = {}
    for name in ORDER:
        if name in BAR_SCALES and name in bars.columns:
            table[name] = decimals(bars.columns[name], scales[BAR_SCALES[name]])
        elif name == "vwap" and "notional" in bars.columns:
            table[name] = pa.array(_vwap(bars, scales))
        elif name in bars.columns:
            table[name] = pa.array(bars.columns[name])
    for name, values in bars.ratios.items():
        table[name] = pa.array(values, mask=np.isnan(values))
    return pa.table(table)


def _vwap(bars: Bars, scales: dict[str, int]) -> F64:
    """Return notional / volume, (n_bars,), each rounded once: so it never leaves the low and high of its trades.

    A ratio of two integers, which float64 divides correctly rounded where it holds both, and Python always.
    """
    notional, volume = bars.columns["notional"], bars.columns["volume"]
    places = scales["notional_scale"] - scales["quantity_scale"]
    more, less = 10 ** max(0, -places), 10 ** max(0, places)
    vwap = np.full(volume.size, np.nan)
    exact = (notional <= EXACT // more) & (volume <= EXACT // less)
    np.divide(notional * np.float64(more), volume * np.float64(less), out=vwap, where=exact & (volume > 0))
    for i in np.flatnonzero(~exact & (volume > 0)):
        vwap[i] = int(notional[i]) * more / (int(volume[i]) * less)
    return vwap
