"""Read a finished run out of the lake, and check that its parts fit together before anything is drawn of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from services.viz.adapters import account
from services.viz.domain.run import METRICS, Bars, Curve, Run, Step, SymbolRun, Trades, Trials
from tickloom.contracts.artifact import FileEntry, Manifest
from tickloom.contracts.download import CERTIFICATES
from tickloom.contracts.portfolio import PORTFOLIO
from tickloom.contracts.stages import STAGES
from tickloom.errors import BadRequest
from tickloom.kernel import F64, I64
from tickloom.lake import Lake, floats
from tickloom.tries import Tries

BARS = ("ts_open", "ts_close", "open", "high", "low", "close", "volume")
CURVE = ("ts", "equity", "drawdown", "buy_and_hold")
TRADES = (
    *("side", "entry_bar", "exit_bar", "entry_ts", "exit_ts", "entry_price", "exit_price"),
    *("quantity", "fees", "slippage", "pnl", "reason", "is_open"),
)


class UnreadableRun(BadRequest):
    """The artifact cannot be drawn: it is not a backtest, or its parts do not fit together."""

    next_step = "submit the backtest again and draw its new artifact"

    def __init__(self, artifact_id: str, reason: str) -> None:
        super().__init__(artifact_id, reason)
        self.artifact_id, self.reason = artifact_id, reason

    def __str__(self) -> str:
        return f"artifact {self.artifact_id}: {self.reason}"


def chain(lake: Lake, backtest: Manifest) -> list[Manifest]:
    """Return the artifacts that a backtest was made from, the first stage first and itself last."""
    if backtest.stage != "backtest":
        raise UnreadableRun(
            backtest.id, f"a report is drawn of a backtest, and this comes from the {backtest.stage} stage"
        )
    stages = STAGES[: STAGES.index("backtest") + 1]
    return [lake.ancestor(backtest, stage) for stage in stages]


def read_symbols(lake: Lake, links: Sequence[Manifest]) -> Iterator[SymbolRun]:
    """Yield each symbol's run, in the order of the grid. `links` is what `chain` returns."""
    _, bars, _, signals, backtest = links
    grid = _table(lake, backtest, "grid.parquet", ("symbol", "combo", *METRICS))
    names = sorted(signals.request.get("parameters", {}))
    missing = [name for name in names if name not in grid.column_names]
    if missing:
        raise UnreadableRun(backtest.id, f"grid.parquet has no column for the parameters {', '.join(missing)}")
    best = orjson.loads(lake.read_bytes(lake.entry(backtest, "results.json")))
    symbol_column = np.asarray(grid["symbol"].to_pylist(), object)
    for symbol in dict.fromkeys(symbol_column.tolist()):
        trials = _trials(grid.filter(pa.array(symbol_column == symbol)), names)
        yield _symbol(lake, bars, backtest, symbol, trials, best_combo(backtest, best, symbol))


def read_run(lake: Lake, links: Sequence[Manifest], symbols: Sequence[SymbolRun], earlier: Mapping[str, Tries]) -> Run:
    """Return the whole run. `links` is what `chain` returns."""
    names = [entry for entry in links[0].under("quality/") if entry.name != CERTIFICATES]
    records = [orjson.loads(lake.read_bytes(entry)) for entry in names]
    graded = links[0].file(CERTIFICATES)
    certificates = orjson.loads(lake.read_bytes(graded)) if graded is not None else []
    return Run(symbols, [_step(link) for link in links], records, earlier, certificates)


def best_combo(backtest: Manifest, results: Any, symbol: str) -> int:
    """Return the number of the best trial of `symbol` as results.json has it."""
    try:
        return int(results["best"][symbol]["combo"])
    except (KeyError, TypeError):
        raise UnreadableRun(backtest.id, f"results.json does not name the best trial of {symbol}") from None


def _symbol(lake: Lake, bars: Manifest, backtest: Manifest, symbol: str, trials: Trials, combo: int) -> SymbolRun:
    if combo not in trials.combo:
        raise UnreadableRun(backtest.id, f"the best trial of {symbol}, number {combo}, is not in grid.parquet")
    is_account = symbol == PORTFOLIO
    equity = _table(lake, backtest, f"equity/{symbol}.parquet", account.CURVE if is_account else CURVE)
    traded = _table(lake, backtest, f"trades/{symbol}.parquet", TRADES)
    curve = _curve(equity)
    read = account.bars_of(lake, backtest, equity) if is_account else _bars(lake, bars, symbol)
    trades = _trades(account.trades_of(traded, curve.ts) if is_account else traded)
    if not np.array_equal(curve.ts, read.ts_close):
        raise UnreadableRun(backtest.id, f"the equity of {symbol} is not at the closes of the bars it was made from")
    if not all(np.isfinite(values).all() for values in (curve.equity, curve.drawdown, curve.buy_and_hold)):
        raise UnreadableRun(backtest.id, f"the equity of {symbol} is not finite")
    luck = orjson.loads(lake.read_bytes(lake.entry(backtest, f"luck/{symbol}.json")))
    shared = account.account_of(lake, backtest, equity) if is_account else None
    return SymbolRun(symbol, read, curve, trades, trials, list(trials.combo).index(combo), luck, shared)


def _table(lake: Lake, manifest: Manifest, name: str, needed: Sequence[str]) -> pa.Table:
    table = lake.read_table(lake.entry(manifest, name))
    missing = [column for column in needed if column not in table.column_names]
    if missing:
        raise UnreadableRun(manifest.id, f"{name} has no column {', '.join(missing)}")
    return table


def _bars(lake: Lake, manifest: Manifest, symbol: str) -> Bars:
    entries = [entry for entry in manifest.under(f"{symbol}/") if entry.name.endswith(".parquet")]
    tables = [_bar_table(lake, manifest, entry) for entry in entries]
    if not sum(table.num_rows for table in tables):
        raise UnreadableRun(manifest.id, f"there are no bars of {symbol}")

    def joined(name: str) -> F64:
        return np.concatenate([floats(table[name]) for table in tables])

    def times(name: str) -> I64:
        return np.concatenate([_integers(table[name]) for table in tables])

    ts_close = times("ts_close")
    if (np.diff(ts_close) < 0).any():
        raise UnreadableRun(manifest.id, f"the bars of {symbol} are not in the order of time")
    open_, high, low, close, volume = (joined(name) for name in BARS[2:])
    return Bars(times("ts_open"), ts_close, open_, high, low, close, volume, max(_places(table) for table in tables))


def _bar_table(lake: Lake, manifest: Manifest, entry: FileEntry) -> pa.Table:
    table = _table(lake, manifest, entry.name, BARS)
    return table.select(list(BARS))


def _places(table: pa.Table) -> int:
    """Return how many decimals the closes really use: the exchange's tick may have trailing zeros."""
    column = table["close"]
    if not pa.types.is_decimal(column.type):
        return 8
    scale = int(column.type.scale)
    scaled = np.rint(floats(column) * 10**scale).astype(np.int64)
    while scale > 0 and not (scaled % 10).any():
        scaled, scale = scaled // 10, scale - 1
    return scale


def _integers(column: pa.ChunkedArray) -> I64:
    return np.asarray(column.to_numpy(), np.int64)


def _curve(table: pa.Table) -> Curve:
    return Curve(_integers(table["ts"]), *(floats(table[name]) for name in CURVE[1:]))


def _trades(table: pa.Table) -> Trades:
    is_open = np.asarray(table["is_open"].to_pylist(), np.bool_)
    return Trades(
        side=np.asarray(table["side"].to_numpy(), np.int8),
        entry_bar=_integers(table["entry_bar"]),
        exit_bar=_integers(table["exit_bar"].fill_null(-1)),
        entry_ts=_integers(table["entry_ts"]),
        exit_ts=_integers(table["exit_ts"].fill_null(-1)),
        entry_price=floats(table["entry_price"]),
        exit_price=floats(table["exit_price"].fill_null(np.nan)),
        quantity=floats(table["quantity"]),
        fees=floats(table["fees"]),
        slippage=floats(table["slippage"]),
        pnl=floats(table["pnl"]),
        reason=[str(reason) for reason in table["reason"].to_pylist()],
        is_open=is_open,
        inside_bar=table["inside_bar"].to_pylist() if "inside_bar" in table.column_names else ["bars"] * is_open.size,
        n_untraded=_untraded(table),
        symbol=table["symbol"].to_pylist() if "symbol" in table.column_names else (),
    )


def _untraded(table: pa.Table) -> I64:
    """Return the fills in bars in which nothing traded; runs of before they were counted tell of none."""
    return _integers(table["n_untraded"]) if "n_untraded" in table.column_names else np.zeros(table.num_rows, np.int64)


def _trials(table: pa.Table, names: Sequence[str]) -> Trials:
    return Trials(
        combo=table["combo"].to_pylist(),
        parameters={name: table[name].to_pylist() for name in names},
        metrics={name: [_defined(value) for value in table[name].to_pylist()] for name in METRICS},
    )


def _defined(value: Any) -> int | float | None:
    return None if value is None or not np.isfinite(value) else value


def _step(manifest: Manifest) -> Step:
    return Step(
        stage=manifest.stage,
        id=manifest.id,
        version=manifest.version,
        request=manifest.request,
        facts=manifest.facts,
        n_files=len(manifest.files),
        n_bytes=sum(entry.bytes for entry in manifest.files),
        n_rows=sum(entry.rows or 0 for entry in manifest.files),
    )
