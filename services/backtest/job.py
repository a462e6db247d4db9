"""The backtest stage: every trial of the grid in batches, then the best of each symbol in full."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from services.backtest.adapters.search import Search
from services.backtest.adapters.trades import partitions_of
from services.backtest.domain.guess import symbol_facts
from services.backtest.domain.metrics import Metrics
from services.backtest.domain.selection import best_trial
from services.backtest.remote import (
    STAGE,
    run_account_batch,
    run_account_best,
    run_account_luck,
    run_batch,
    run_best,
    run_luck,
)
from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.contracts.backtest import IS_A_METRIC, NO_IMPACT_OF_CONTRACTS, VERSION, BacktestRequest
from tickloom.contracts.calls import request_of
from tickloom.contracts.events import StageCall
from tickloom.contracts.features import FeaturesRequest, not_made
from tickloom.contracts.portfolio import PORTFOLIO, Portfolio
from tickloom.errors import InvalidRequest, MissingPartition, StageCancelled
from tickloom.fanout import Task, map_unordered
from tickloom.http import Report
from tickloom.identity import digest
from tickloom.lake import Lake, open_lake

TOO_SMALL = "they came to less than a lot or min_notional, or no volatility or distance of the stop was known yet"
UNTRADED = (
    "{symbol}: {n_fills:,} fills of the best trial are in bars in which nothing traded, at prices that nobody could "
    "have had; the trades that they are of made {pnl:,.2f}"
)
SMALL = 20_000_000
"""Bars times trials below which processes cost more than they bring."""


@dataclass(frozen=True)
class Batch:
    """One file of signals, the features of its symbol, and the trades that its bars were made of."""

    symbol: str
    features: FileEntry
    signals: FileEntry
    partitions: tuple[FileEntry, ...]

    @property
    def name(self) -> str:
        first = int(self.signals.facts["first_combo"])
        return f"{first}-{first + int(self.signals.facts['n_combos']) - 1}"

    @property
    def size(self) -> int:
        """Bars times trials."""
        return self.n_bars * int(self.signals.facts["n_combos"])

    @property
    def n_bars(self) -> int:
        return int(self.signals.facts["n_bars"])

    def sources(self) -> tuple[Any, Any, Any]:
        """Return what the tasks read: symbol, features, signals."""
        return self.symbol, self.features, self.signals

    def inside(self) -> tuple[Any, ...]:
        """Return what they read of what happened inside bars: the trades."""
        return (self.partitions,)

    def hashes(self) -> list[Any]:
        """Return what the batch's results depend on."""
        trades = [partition.sha256 for partition in self.partitions]
        return [self.symbol, self.features.sha256, self.signals.sha256, self.name, *trades]

    @property
    def runs(self) -> tuple[Callable[..., Part], Callable[..., Part], Callable[..., Part]]:
        """Return the tasks: of the trials, of the best in full, of its luck."""
        return run_batch, run_best, run_luck


@dataclass(frozen=True)
class AccountBatch(Batch):
    """The files of the same trials of all symbols, which share one account. `signals` is that of the first."""

    of_symbols: tuple[Batch, ...]

    @property
    def n_bars(self) -> int:
        return sum(one.n_bars for one in self.of_symbols)

    def sources(self) -> tuple[Any, Any, Any]:
        return tuple(zip(*(one.sources() for one in self.of_symbols), strict=True))  # type: ignore[return-value]

    def inside(self) -> tuple[Any, ...]:
        return ()  # an account of many symbols fills at opens alone

    def hashes(self) -> list[Any]:
        return [self.symbol, [one.hashes() for one in self.of_symbols], self.name]

    @property
    def runs(self) -> tuple[Callable[..., Part], Callable[..., Part], Callable[..., Part]]:
        return run_account_batch, run_account_best, run_account_luck


class BacktestJob:
    """Trades every parameter set of a signals artifact over the bars that its features were computed from."""

    def __init__(self, lake: Lake | None = None) -> None:
        self._lake = lake

    def run(self, call: StageCall, report: Report) -> Manifest:
        """Make the artifact and return its manifest. The same call twice is one computation and one answer.

        Raises InvalidRequest, BadPrices, UnknownArtifact, MissingPartition, CorruptFile.
        """
        lake = self._lake or open_lake()
        request = request_of(call, STAGE, BacktestRequest, "a backtest trades one signals artifact")
        if found := lake.find(call.artifact_id):
            return found
        signals = lake.manifest(call.inputs[0])
        if request.impact is not None and lake.ancestor(signals, "download").facts["market"] == "coinm":
            raise InvalidRequest("impact", NO_IMPACT_OF_CONTRACTS)
        batches: Sequence[Batch] = _batches(
            lake, signals, opens=request.inside_bar != "guess" and request.portfolio is None
        )
        if request.portfolio is not None:
            batches = on_one_account(batches, request.portfolio)
        combos = lake.read_table(lake.entry(signals, "combos.parquet"))
        _check_names(combos)
        _check_stop(request, lake.ancestor(signals, "features"))
        work = _Work(lake, request, report, batches, parameters_of(combos))
        trials = work.trials()
        best = {symbol: _best(rows, request.objective) for symbol, rows in trials.items()}
        for symbol, row in best.items():
            if row[request.objective] is None:
                report.warn(f"{symbol}: {request.objective} is undefined for every trial, so the first one is shown")
        files = [lake.add_table("grid.parquet", grid_table(trials, combos))]
        parts = work.best_runs(best)
        files += [entry for part in parts for entry in part.files]
        facts = _facts(request, best, combos) | work.inside_bar(trials, best) | _untraded(parts)
        # The ledger keeps them: the next search on the same data is measured against these trials too.
        facts["tries"] = {part.facts["symbol"]: part.facts["tries"] for part in parts if "tries" in part.facts}
        text = json.dumps(facts, indent=2, allow_nan=False, ensure_ascii=False)
        files.append(lake.add_bytes("results.json", text.encode()))
        return lake.put_manifest(
            Manifest(
                id=call.artifact_id,
                stage=STAGE,
                version=VERSION,
                request=request.canonical(),
                inputs=call.inputs,
                files=tuple(files),
                facts=facts,
            )
        )


class _Work:
    """The fan-out of one run: parts that an earlier attempt kept are not made again."""

    def __init__(
        self, lake: Lake, request: BacktestRequest, report: Report, batches: Sequence[Batch],
        parameters: Sequence[Mapping[str, Any]],
    ) -> None:  # fmt: skip
        self._lake, self._request, self._report, self._batches = lake, request, report, batches
        self._symbols = list(dict.fromkeys(batch.symbol for batch in batches))
        self._done, self._rows, self._message = 0, 0, ""
        self._telling = threading.Lock()
        self._search = Search(request.objective, parameters, self._symbols)
        self.returns: dict[str, list[FileEntry]] = {symbol: [] for symbol in self._symbols}
        """The files of all trials' daily returns, by symbol, in the order of the trials."""
        self._has_trades: dict[str, bool] = {}

    def trials(self) -> dict[str, list[dict[str, Any]]]:
        """Return symbol -> its trials in order: `combo` and the metrics."""
        keys = [self._key("trials", batch) for batch in self._batches]
        tasks = [
            Task(
                f"{STAGE} {b.symbol} {b.name}",
                b.runs[0],
                (self._lake, key, *b.sources(), self._request, *b.inside()),
            )
            for key, b in zip(keys, self._batches, strict=True)
        ]
        journals = [(b.symbol, self._lake.journal(STAGE, key)) for key, b in zip(keys, self._batches, strict=True)]
        with self._search.watching(journals, self._news):
            parts = self._made(keys, tasks, [batch.size for batch in self._batches])
        for _, journal in journals:  # here, for a kill may have fallen between a part and the end of its task
            journal.remove()
        rows: dict[str, list[dict[str, Any]]] = {symbol: [] for symbol in self._symbols}
        for part in parts:
            rows[part.facts["symbol"]].extend(part.facts["trials"])
            self.returns[part.facts["symbol"]].extend(part.files)
            self._has_trades[part.facts["symbol"]] = part.facts.get("has_trades", False)
        return {symbol: sorted(trials, key=lambda row: int(row["combo"])) for symbol, trials in rows.items()}

    def best_runs(self, best: dict[str, dict[str, Any]]) -> list[Part]:
        """Return the parts of each symbol's best trial: its trades and its curve, and how likely it is to be luck."""
        keys, tasks, sizes = [], [], []
        for symbol in self._symbols:
            combo = int(best[symbol]["combo"])
            b = next(b for b in self._batches if b.symbol == symbol and _holds(b.signals, combo))
            keys.append(self._key(f"best {combo}", b))
            args = (self._lake, keys[-1], *b.sources(), combo, self._request, *b.inside())
            tasks.append(Task(f"{STAGE} {symbol} best {combo}", b.runs[1], args))
            sizes.append(b.n_bars)
            returns = self.returns[symbol]
            keys.append(self._key("luck " + digest([combo, [file.sha256 for file in returns]]), b))
            judged = (self._lake, keys[-1], *b.sources(), combo, returns, self._request, *b.inside())
            tasks.append(Task(f"{STAGE} {symbol} luck", b.runs[2], judged))
            sizes.append(b.n_bars)
        parts = self._made(keys, tasks, sizes)
        for part in parts:
            if n_refused := part.facts.get("n_refused"):
                symbol = part.facts["symbol"]
                self._report.warn(f"{symbol}: {n_refused:,} entries of the best trial were refused: {TOO_SMALL}")
                self._count([], 0, "")
            if (told := part.facts.get("untraded")) and told["n_fills"]:
                self._report.warn(UNTRADED.format(symbol=part.facts["symbol"], **told))
                self._count([], 0, "")
        return parts

    def inside_bar(self, trials: dict[str, list[dict[str, Any]]], best: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Return what there is to tell of what happened inside bars: see `symbol_facts`."""
        if self._request.portfolio is not None:
            return {}
        told = {
            symbol: {"has_trades": self._has_trades[symbol]} | symbol_facts(rows, best[symbol], self._request.objective)
            for symbol, rows in trials.items()
        }
        return {"inside_bar": {"mode": self._request.inside_bar, "symbols": told}}

    def _key(self, what: str, batch: Batch) -> str:
        return digest([STAGE, VERSION, what, self._request.canonical(), batch.hashes()])

    def _made(self, keys: Sequence[str], tasks: Sequence[Task[Part]], sizes: Sequence[int]) -> list[Part]:
        """Return the parts in the order of the tasks, telling of each as it comes."""
        parts = {index: part for index, key in enumerate(keys) if (part := self._lake.part(STAGE, key))}
        todo = [index for index in range(len(tasks)) if index not in parts]
        self._count(list(parts.values()), sum(sizes[index] for index in parts), "")
        small = sum(sizes[index] for index in todo) <= SMALL
        work = (tasks[index] for index in todo)
        for k, part in map_unordered(work, small=small, cancelled=self._report.cancelled, warn=self._report.warn):
            parts[todo[k]] = part
            self._count([part], sizes[todo[k]], tasks[todo[k]].name)
        return [parts[index] for index in range(len(tasks))]

    def _count(self, parts: Sequence[Part], rows: int, message: str) -> None:
        for part in parts:
            if trials := part.facts.get("trials"):
                self._search.take(part.facts["symbol"], trials)
        self._done, self._rows, self._message = self._done + len(parts), self._rows + rows, message
        self._tell()

    def _tell(self) -> None:
        total, search = len(self._batches) + 2 * len(self._symbols), self._search
        with self._telling:
            self._report.progress(self._done, total, self._rows, self._message, search.trials, search.best)

    def _news(self) -> None:
        """Tell of trials that finished within a batch."""
        with suppress(StageCancelled):  # raised where the work is
            self._tell()


def _batches(lake: Lake, signals: Manifest, *, opens: bool) -> list[Batch]:
    """Return the signals' files, each with its symbol's features, in the manifest's order; `opens`: and its trades."""
    if signals.stage != "signals":
        raise InvalidRequest("inputs", f"{signals.id} comes from the {signals.stage} stage, signals are needed")
    features = lake.ancestor(signals, "features")
    partitions = partitions_of(lake, features) if opens else {}
    batches = []
    for entry in signals.files:
        if symbol := entry.facts.get("symbol"):
            table = features.file(f"{symbol}.parquet")
            if table is None:
                raise MissingPartition("features", symbol)
            batches.append(Batch(symbol, table, entry, partitions.get(symbol, ())))
    if not batches:
        raise MissingPartition("signals", "of any symbol")
    return batches


def on_one_account(batches: Sequence[Batch], portfolio: Portfolio) -> list[AccountBatch]:
    """Return the batches of all symbols together, in the order of the trials.

    Raises InvalidRequest where the names of symbols leave no place for the account, or there are too few of them.
    """
    symbols = {batch.symbol for batch in batches}
    for name in sorted(symbols & {PORTFOLIO, "ts"}):
        raise InvalidRequest("portfolio", f"{name} is a name of its results, so no symbol can be called so")
    if portfolio.limits.min_holdings > len(symbols):
        least = portfolio.limits.min_holdings
        raise InvalidRequest(
            "portfolio.limits.min_holdings", f"{least} cannot be held: there are {len(symbols)} symbols"
        )
    together: dict[str, list[Batch]] = {}
    for batch in batches:
        together.setdefault(batch.name, []).append(batch)
    return [AccountBatch(PORTFOLIO, of[0].features, of[0].signals, (), tuple(of)) for of in together.values()]


def _check_names(combos: pa.Table) -> None:
    """Raise InvalidRequest when a parameter is called like a metric: the table of trials has a column of each."""
    for name in sorted({"symbol", *Metrics.__annotations__} & set(combos.column_names)):
        raise InvalidRequest(f"parameters.{name}", IS_A_METRIC)


def _check_stop(request: BacktestRequest, features: Manifest) -> None:
    """Raise InvalidRequest when the stop is to be read from a column that the features do not have."""
    if request.stop_loss is not None:
        made = FeaturesRequest.model_validate_json(json.dumps(features.request)).columns()
        if reason := not_made(request.stop_loss.column, made):
            raise InvalidRequest("stop_loss.column", reason)


def _holds(signals: FileEntry, combo: int) -> bool:
    first = int(signals.facts["first_combo"])
    return first <= combo < first + int(signals.facts["n_combos"])


def _best(rows: Sequence[dict[str, Any]], objective: str) -> dict[str, Any]:
    return rows[best_trial([row[objective] for row in rows])]


def _facts(request: BacktestRequest, best: dict[str, dict[str, Any]], combos: pa.Table) -> dict[str, Any]:
    """Return what a reader wants first: the best trial of each symbol."""
    parameters = parameters_of(combos)
    chosen = {
        symbol: {
            "combo": row["combo"],
            "parameters": parameters[row["combo"]],
            "metrics": {name: row[name] for name in Metrics.__annotations__},
        }
        for symbol, row in best.items()
    }
    return {"objective": request.objective, "n_combos": combos.num_rows, "best": chosen}


def _untraded(parts: Sequence[Part]) -> dict[str, Any]:
    """Return of each symbol's best trial the fills in bars in which nothing traded."""
    told = {part.facts["symbol"]: part.facts["untraded"] for part in parts if "untraded" in part.facts}
    return {"untraded": told}


def parameters_of(combos: pa.Table) -> list[dict[str, Any]]:
    """Return the parameters of each combo."""
    return combos.drop_columns(["combo"]).to_pylist() if combos.num_columns > 1 else [{}] * combos.num_rows


def grid_table(trials: dict[str, list[dict[str, Any]]], combos: pa.Table) -> pa.Table:
    """Return a row per symbol and trial: `symbol`, `combo`, the parameters, the metrics."""
    kinds = {"n_trades": pa.int64(), "is_open": pa.bool_()}
    columns: dict[str, Any] = {
        "symbol": pa.array([symbol for symbol, rows in trials.items() for _ in rows], pa.string()),
        "combo": pa.array([row["combo"] for rows in trials.values() for row in rows], pa.int32()),
    }
    index = columns["combo"]
    for name in combos.column_names[1:]:
        columns[name] = combos[name].combine_chunks().take(index)
    for name in Metrics.__annotations__:
        values = [row[name] for rows in trials.values() for row in rows]
        columns[name] = pa.array(values, kinds.get(name, pa.float64()))
    return pa.table(columns)
