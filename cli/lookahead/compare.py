"""What two runs published, held against each other up to a moment: every row and column, bit for bit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from cli.lookahead.account import curves_of, fills_of, is_shared, known_until, not_listed
from cli.lookahead.chain import Made
from cli.lookahead.cuts import Cut
from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT
from tickloom.kernel import I64
from tickloom.lake import Lake, rescale, units

STAGES = ("bars", "features", "signals", "fills", "equity", "choices")


@dataclass(frozen=True)
class Leak:
    """A value that changed with data later than the moment at which it was published."""

    stage: str
    table: str
    column: str
    row: int
    published: int
    whole: str
    other: str
    cut: Cut


@dataclass(frozen=True)
class Compared:
    """What a comparison came to: the leaks of the first stage that has any, and what was looked at."""

    leaks: tuple[Leak, ...] = ()
    rows: int = 0
    columns: frozenset[tuple[str, str, str]] = frozenset()
    refused: str = ""  # why a stage would not take these data


def compare(whole: Made, other: Made, firsts: Mapping[str, I64], cut: Cut, *, at_opens: bool) -> Compared:
    """Hold what both published before the cut against each other, stage after stage, up to the first that leaks.

    firsts    the time of the first trade of each bar of the whole run, by symbol
    at_opens  with a poison: whether a fill at the open of the bar in which the cut is may depend on that open alone
    """
    rows, columns = 0, set[tuple[str, str, str]]()
    shared = is_shared(whole)
    known = known_until(whole, other, firsts, cut.ts) if shared else cut.ts
    left_out = not_listed(whole, other) if shared else set()
    for stage in STAGES:
        leaks: list[Leak] = []
        # At the open up to which both know as much, the closes of that moment are taken before it fills.
        until = {"fills": known, "equity": min(known + 1, cut.ts)}.get(stage, cut.ts)
        others = dict(_tables(other, stage, left_out))
        for name, table in _tables(whole, stage, left_out):
            pair = _Pair(stage, name, table, others.get(name, table.slice(0, 0)), cut, until)
            leaks += pair.leaks()
            if stage == "fills" and at_opens and cut.poison and not shared:
                symbol = name.split()[0]
                leaks += pair.leaks_at_open(firsts[symbol][: _n_bars(other, symbol)])
            rows += pair.n_rows
            columns.update((stage, name, column) for column in table.column_names if column != "published")
        if leaks:
            return Compared(tuple(leaks), rows, frozenset(columns))
    return Compared((), rows, frozenset(columns))


def _tables(made: Made, stage: str, left_out: set[str]) -> Iterator[tuple[str, pa.Table]]:
    """Yield (name, table) of what a stage published; each has a column `published`, in rising order."""
    if stage in ("fills", "equity") and is_shared(made):
        for fills in made.fills:
            name = f"{fills.symbol} combination {fills.combo}"
            if stage == "fills":
                yield name, fills_of(made, fills)
                continue
            for what, table in curves_of(made, fills):
                yield f"{name} {what}", table.drop_columns(sorted(left_out & set(table.column_names)))
    elif stage == "fills":
        for fills in made.fills:
            yield f"{fills.symbol} combination {fills.combo}", events_of(made, fills.symbol, fills.trades)
    elif stage == "equity":
        for fills in made.fills:
            table = made.lake.read_table(fills.equity)
            yield f"{fills.symbol} combination {fills.combo}", _published(table, table["ts"])
    elif stage in made.stages:
        yield from _of_manifest(made.lake, made, stage)


def _of_manifest(lake: Lake, made: Made, stage: str) -> Iterator[tuple[str, pa.Table]]:
    parts: dict[str, list[pa.Table]] = {}
    for entry in sorted(made.stages[stage].files, key=lambda entry: entry.name):
        if entry.name.endswith(".parquet") and entry.name != "combos.parquet":
            path = PurePosixPath(entry.name)
            name = str(path.with_suffix("") if stage == "features" else path.parent)
            parts.setdefault(name, []).append(lake.read_table(entry))
    for name, tables in parts.items():
        if stage != "signals":
            whole = pa.concat_tables(_on_one_scale(tables))
            yield name, _published(whole, whole["ts_close"])
            continue
        changes = pa.concat_tables(tables)
        order = np.lexsort((changes["combo"].to_numpy(), changes["bar"].to_numpy()))
        changes = changes.take(pa.array(order))
        yield name, _published(changes, changes["ts"])


def _n_bars(made: Made, symbol: str) -> int:
    entry = made.stages["features"].file(f"{symbol}.parquet") if "features" in made.stages else None
    return (entry.rows or 0) if entry is not None else 0


def _on_one_scale(tables: list[pa.Table]) -> list[pa.Table]:
    schema = tables[0].schema
    return [table if table.schema == schema else table.cast(schema) for table in tables]


def _published(table: pa.Table, ts: pa.ChunkedArray) -> pa.Table:
    return table.append_column("published", ts)


def events_of(made: Made, symbol: str, trades: Any) -> pa.Table:
    """Return entries and exits in order: bar, event, side, ts, price, quantity, reason; `at_open` says which are there.

    A fill is published with its bar's close: until then the bar is open, and no run knows of it.
    """
    features = made.stages["features"].file(f"{symbol}.parquet")
    assert features is not None
    bars = made.lake.read_table(features, ["ts_open", "ts_close"])
    opens, closes = bars["ts_open"].to_numpy(), bars["ts_close"].to_numpy()
    rows: list[dict[str, Any]] = []
    for trade in made.lake.read_table(trades).to_pylist():
        for event in ("entry", "exit"):
            bar = trade[f"{event}_bar"]
            if bar is None:
                continue
            ts, opened, closed = trade[f"{event}_ts"], int(opens[bar]), int(closes[bar])
            reason = trade["reason"] if event == "exit" else None
            by_trade = event == "exit" and trade.get("exit_trade_id") is not None
            at_open = ts == opened < closed and not by_trade  # a later trade may have the open's time
            row = {"bar": bar, "event": event, "side": trade["side"], "ts": ts}
            row |= {"price": trade[f"{event}_price"], "quantity": trade["quantity"]}
            rows.append(row | {"reason": reason, "at_open": at_open})
            rows[-1]["published"] = closed
    whole, text, number, truth = pa.int64(), pa.string(), pa.float64(), pa.bool_()
    kinds = {"bar": whole, "event": text, "side": whole, "ts": whole, "price": number, "quantity": number}
    kinds |= {"reason": text, "at_open": truth, "published": whole}
    return pa.Table.from_pylist(rows, pa.schema(list(kinds.items())))


class _Pair:
    """A table of the whole run and the same one of the run with the cut."""

    def __init__(self, stage: str, name: str, whole: pa.Table, other: pa.Table, cut: Cut, until: int) -> None:
        self._stage, self._name, self._cut = stage, name, cut
        self._all = whole, other
        self._whole, self._other = (table.filter(pa.array(_times(table) < until)) for table in self._all)
        self.n_rows = self._whole.num_rows

    def leaks(self) -> list[Leak]:
        """Return the first difference of each column among the rows published before the cut."""
        return self._differences(self._whole, self._other)

    def leaks_at_open(self, firsts: I64) -> list[Leak]:
        """Return the differences of the fills at the open of the bar in which the cut is, where both runs close it."""
        whole, other = (table.filter(table["at_open"]) for table in self._all)
        known = [bar for bar in whole["bar"].to_pylist() + other["bar"].to_pylist() if firsts.size > bar]
        bars = {bar for bar in known if firsts[bar] < self._cut.ts}
        both = [
            table.filter(pa.array([bar in bars and ts >= self._cut.ts for bar, ts in _keys(table)], pa.bool_()))
            for table in (whole, other)
        ]
        both = [table.drop_columns(["published"]).append_column("published", table["ts"]) for table in both]
        self.n_rows += both[0].num_rows
        return self._differences(*both)

    def _differences(self, whole: pa.Table, other: pa.Table) -> list[Leak]:
        """Return the first difference of each column; where a row is not there at all, that is all there is to say."""
        n, leaks = min(whole.num_rows, other.num_rows), []
        for column in whole.column_names:
            if column not in other.column_names:
                leaks.append(self._leak(column, 0, whole, None))
                continue
            differ = np.flatnonzero(_differ(whole[column].slice(0, n), other[column].slice(0, n)))
            if differ.size:
                leaks.append(self._leak(column, int(differ[0]), whole, other))
        leaks.sort(key=lambda leak: leak.row)
        first = {leak.column for leak in leaks if leak.row == leaks[0].row}
        if (leaks and first & set(_IDENTITY[self._stage])) or (not leaks and whole.num_rows != other.num_rows):
            return [self._absent(leaks[0].row if leaks else n, whole, other)]
        return [leak for leak in leaks if leak.column != "published"]

    def _leak(self, column: str, row: int, whole: pa.Table, other: pa.Table | None) -> Leak:
        there = "nothing" if other is None else _shown(other, column, row)
        published = int(whole["published"][row].as_py())
        return Leak(self._stage, self._name, column, row, published, _shown(whole, column, row), there, self._cut)

    def _absent(self, row: int, whole: pa.Table, other: pa.Table) -> Leak:
        """Return the leak of a row that one of the runs does not have."""
        rows = [table.slice(row, 1).to_pylist() for table in (whole, other)]
        published = min(found[0]["published"] for found in rows if found)
        texts = [_row_text(self._stage, found[0]) if found else "nothing" for found in rows]
        return Leak(self._stage, self._name, _KEY[self._stage], row, published, texts[0], texts[1], self._cut)


_KEY = {"bars": "ts_close", "features": "ts_close", "signals": "mask", "fills": "event", "equity": "ts"}
"""The column that is named where a whole row is too much or missing."""

_IDENTITY: dict[str, tuple[str, ...]] = {
    "bars": (), "features": (), "signals": ("combo", "bar"), "fills": ("bar", "event"), "equity": (),
}  # fmt: skip
"""What says which row it is: where it differs, the rows are different ones."""

MASKS = {LONG_ENTRY: "long_entry", LONG_EXIT: "long_exit", SHORT_ENTRY: "short_entry", SHORT_EXIT: "short_exit"}


def mask_text(mask: int) -> str:
    """Return the rules that a mask says are true."""
    return " and ".join(name for bit, name in MASKS.items() if mask & bit) or "no rule"


def _row_text(stage: str, row: Mapping[str, Any]) -> str:
    if stage == "signals":
        return f"{mask_text(row['mask'])} of combination {row['combo']} at bar {row['bar']}"
    if stage == "fills":
        return f"{row['event']} at {row['price']} in bar {row['bar']}"
    return f"a row published at {row['published']}"


def _shown(table: pa.Table, column: str, row: int) -> str:
    value = table[column][row].as_py()
    if column == "mask":
        return mask_text(value)
    return "nothing" if value is None else str(value)


def _keys(table: pa.Table) -> Iterator[tuple[int, int]]:
    return zip(table["bar"].to_pylist(), table["published"].to_pylist(), strict=True)


def _times(table: pa.Table) -> Any:
    return table["published"].to_numpy()


def _differ(a: pa.ChunkedArray, b: pa.ChunkedArray) -> Any:
    """Return which rows differ, (n,): floats by their bits, save that no number is like no number."""
    if pa.types.is_decimal(a.type) and pa.types.is_decimal(b.type):
        (x, from_x), (y, from_y) = units(a), units(b)
        scale = max(from_x, from_y)
        return rescale(x, from_x, scale) != rescale(y, from_y, scale)
    x, y = (column.to_numpy(zero_copy_only=False) for column in (a, b))
    if x.dtype.kind == "f" and y.dtype.kind == "f":
        return (x.view(np.int64) != y.view(np.int64)) & ~(np.isnan(x) & np.isnan(y))
    return np.asarray(x != y, bool)
