"""Minutes of stored trades and of stored klines, side by side on the same scales. Memory is that of one row group."""

from collections.abc import Iterator, Sequence
from datetime import date
from io import BytesIO
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from services.download.domain.minutes import FIELDS, SCALES, Pair
from services.download.domain.times import DAY_US, day_number
from services.download.kernels.minutes import BUY_NOTIONAL, MINUTE_US, MINUTES, N_TRADES, NOTIONAL, add_minutes
from tickloom.contracts.artifact import FileEntry
from tickloom.errors import ExactnessLost
from tickloom.kernel import I64, Bool
from tickloom.lake import Lake, aggressor_sides, in_microseconds, rescale, units

_ALL: Final = ("ts", "price", "quantity", "is_buyer_maker")
_IDS: Final = ("first_id", "last_id")


def read_pair(lake: Lake, trades: Sequence[FileEntry], klines: Sequence[FileEntry]) -> tuple[Pair, list[int]]:
    """Return the minutes of some days of trades beside the official ones, and the days that both sides have.

    trades  partitions of days of one month
    klines  partitions of 1-minute klines; of a minute that several have, the last one's counts

    Raises CorruptFile, and ExactnessLost where a minute's sum does not fit 64 bits.
    """
    numbers = [_day(entry) for entry in trades]
    first, n_days = min(numbers), max(numbers) - min(numbers) + 1
    places = {name: max(entry.facts[f"{name}_scale"] for entry in trades) for name in ("price", "quantity")}
    ours = np.zeros((len(FIELDS), n_days * MINUTES), np.int64)
    for entry, number in zip(trades, numbers, strict=True):
        at = (number - first) * MINUTES
        ours[:, at : at + MINUTES] = _minutes(lake, entry, places, number)
    official, theirs, covered = _official(lake, klines, first, n_days)
    exact = places["price"] + places["quantity"]
    if "notional" not in theirs:  # klines of COIN-M do not have it: there is nothing to compare
        theirs["notional"] = exact
        official[[NOTIONAL, BUY_NOTIONAL]] = ours[[NOTIONAL, BUY_NOTIONAL]]
    scales = {name: max(places.get(name, exact), theirs.get(name, 0)) for name in ("price", "quantity", "notional")}
    pair = Pair(
        first,
        _on(ours, {**places, "notional": exact}, scales),
        _on(official, theirs, scales),
        scales,
        exact,
    )
    return pair, sorted({number - first for number in numbers} & covered)


def _day(entry: FileEntry) -> int:
    return day_number(date.fromisoformat(entry.facts["day"]))


def _minutes(lake: Lake, entry: FileEntry, places: dict[str, int], number: int) -> I64:
    """Return the bars of one partition, (9, 1440)."""
    bars = np.zeros((len(FIELDS), MINUTES), np.int64)
    for group in _row_groups(lake, entry):
        price, quantity = (rescale(*units(group[name]), places[name]) for name in ("price", "quantity"))
        ts, side = group["ts"].to_numpy(), aggressor_sides(group["is_buyer_maker"])
        fills = np.empty(0, np.int64)
        if "last_id" in group.column_names:
            fills = group["last_id"].to_numpy() - group["first_id"].to_numpy() + 1
        if add_minutes(ts, price, quantity, side, fills, number * DAY_US, bars) >= 0:
            raise ExactnessLost("the sum of a minute", entry.name)
    return bars


def _row_groups(lake: Lake, entry: FileEntry) -> Iterator[pa.Table]:
    with pq.ParquetFile(BytesIO(lake.read_bytes(entry))) as file:
        names = [*_ALL, *(name for name in _IDS if name in file.schema_arrow.names)]
        for i in range(file.num_row_groups):
            yield in_microseconds(file.read_row_group(i, names, use_threads=False))


def _official(lake: Lake, klines: Sequence[FileEntry], first: int, n_days: int) -> tuple[I64, dict[str, int], set[int]]:
    """Return official bars (9, n_minutes), their scales, and the days that have any, as indices."""
    tables = [lake.read_table(entry) for entry in klines]
    names = tables[0].column_names
    scales = {
        kind: max(int(table[name].type.scale) for table in tables)
        for name, kind in (("open", "price"), ("volume", "quantity"), ("notional", "notional"))
        if name in names
    }
    bars, covered = np.zeros((len(FIELDS), n_days * MINUTES), np.int64), set()
    for table in tables:
        minute = table["ts_open"].to_numpy() // MINUTE_US - first * MINUTES
        inside: Bool = (minute >= 0) & (minute < bars.shape[1])
        for row, name in enumerate(FIELDS):
            if name not in names:
                continue
            column = table[name]
            values = column.to_numpy() if row == N_TRADES else rescale(*units(column), scales[SCALES[name]])
            bars[row, minute[inside]] = values[inside]
        covered |= set((minute[inside] // MINUTES).tolist())
    return bars, scales, covered


def _on(bars: I64, scales: dict[str, int], wanted: dict[str, int]) -> I64:
    """Return bars with every field on the scale that is wanted. Raises ExactnessLost where it does not fit."""
    rows = [
        rescale(bars[row], scales[SCALES[name]], wanted[SCALES[name]]) if SCALES[name] in wanted else bars[row]
        for row, name in enumerate(FIELDS)
    ]
    return np.stack(rows)
