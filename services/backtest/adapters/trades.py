"""The trades of single bars, out of the download's partitions."""

from collections.abc import Sequence

import numpy as np

from services.backtest.kernels.types import Trades
from tickloom.contracts.artifact import FileEntry, Manifest
from tickloom.errors import MissingPartition
from tickloom.kernel import F64, I64
from tickloom.lake import Lake, floats


def partitions_of(lake: Lake, made: Manifest) -> dict[str, tuple[FileEntry, ...]]:
    """Return each symbol's partitions of the trades that an artifact was made from, in order; none of klines."""
    if not made.inputs and made.stage != "download":
        return {}
    download = lake.ancestor(made, "download")
    if download.facts.get("data_type") not in ("trades", "aggTrades"):
        return {}
    symbols = download.facts["symbols"]
    return {symbol: tuple(sorted(download.under(f"{symbol}/"), key=lambda entry: entry.name)) for symbol in symbols}


class BarTrades:
    """Reads the trades of bars by the first and the last trade id of each.

    A partition is read once for all the bars of a call, one partition after the other, and no more of its row groups
    are decoded than lie between the first and the last bar asked for.
    """

    def __init__(self, lake: Lake, symbol: str, partitions: Sequence[FileEntry], first_id: I64, last_id: I64) -> None:
        """Take one symbol's partitions of trades, and the ids of each bar's first and last trade, (n_bars,)."""
        self._lake, self._symbol = lake, symbol
        self._partitions = [entry for entry in partitions if entry.rows]
        self._first_id, self._last_id = first_id, last_id

    def prices(self, bars: Sequence[int]) -> list[F64]:
        """Return the prices of each bar's trades, in the order of their ids."""
        return [np.asarray(values, np.float64) for values in self._column(bars, "price")]

    def ids_and_times(self, bars: Sequence[int]) -> list[tuple[I64, I64]]:
        """Return ids and times (microseconds UTC) of each bar's trades."""
        return list(zip(self._column(bars, "trade_id"), self._column(bars, "ts"), strict=True))

    def _column(self, bars: Sequence[int], name: str) -> list[np.ndarray]:
        pieces: list[list[np.ndarray]] = [[] for _ in bars]
        at = np.asarray(bars, np.int64)
        first, last = self._first_id[at], self._last_id[at]
        for entry in self._partitions:
            inside = np.flatnonzero((last >= entry.facts["first_id"]) & (first <= entry.facts["last_id"]))
            if inside.size:
                starts, stops = self._rows(entry, first[inside], last[inside])
                rows = range(int(starts.min()), int(stops.max()))
                column = self._lake.read_table(entry, [name], rows=rows)[name] if len(rows) else None
                values = floats(column) if name == "price" and column is not None else np.asarray(column)
                for k, start, stop in zip(inside.tolist(), starts.tolist(), stops.tolist(), strict=True):
                    pieces[k].append(values[start - rows.start : stop - rows.start].copy())
        for bar, found in zip(bars, pieces, strict=True):
            if not found:
                ids = f"{self._first_id[bar]} to {self._last_id[bar]}"
                raise MissingPartition("download", f"of {self._symbol} with the trades {ids} of bar {bar}")
        return [np.concatenate(found) for found in pieces]

    def _rows(self, entry: FileEntry, first: I64, last: I64) -> tuple[I64, I64]:
        """Return the first rows of the trades, and the rows behind the last ones."""
        begin, n_rows = int(entry.facts["first_id"]), entry.rows or 0
        if int(entry.facts["last_id"]) - begin == n_rows - 1:  # ids rise, so none is left out
            return np.maximum(first - begin, 0), np.minimum(last - begin + 1, n_rows)
        ids = np.asarray(self._lake.read_table(entry, ["trade_id"])["trade_id"])
        return np.searchsorted(ids, first, "left"), np.searchsorted(ids, last, "right")


def exit_trades(trades: Trades, reader: BarTrades | None) -> dict[int, tuple[int, int]]:
    """Return the id and the time of the market's trade that ended each trade, where one is known to have done so."""
    ended = np.flatnonzero(trades.exit_trade >= 0)
    if reader is None or not ended.size:
        return {}
    read = reader.ids_and_times(trades.exit_bar[ended].tolist())
    at = trades.exit_trade[ended].tolist()
    return {k: (int(ids[i]), int(ts[i])) for k, i, (ids, ts) in zip(ended.tolist(), at, read, strict=True)}
