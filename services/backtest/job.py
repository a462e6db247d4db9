"""The backtest stage: every trial of the grid in batches, then the best of each symbol in full."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from services.backtest.domain.metrics import Metrics
from services.backtest.domain.selection import best_trial
from services.backtest.remote import STAGE, run_batch, run_best
from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.contracts.backtest import VERSION, BacktestRequest
from tickloom.contracts.calls import request_of
from tickloom.contracts.events import StageCall
from tickloom.errors import InvalidRequest, MissingPartition
from tickloom.fanout import Task, map_unordered
from tickloom.http import Report
from tickloom.identity import digest
from tickloom.lake import Lake, open_lake

SMALL = 20_000_000
"""Bars times trials below which processes cost more than they bring."""


@dataclass(frozen=True)
class Batch:
    """One file of signals, and the features of its symbol."""

    symbol: str
    features: FileEntry
    signals: FileEntry

    @property
    def name(self) -> str:
        first = int(self.signals.facts["first_combo"])
        return f"{first}-{first + int(self.signals.facts['n_combos']) - 1}"

    @property
    def size(self) -> int:
        """Bars times trials."""
        return int(self.signals.facts["n_bars"]) * int(self.signals.facts["n_combos"])


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
        batches = _batches(lake, signals)
        combos = lake.read_table(lake.entry(signals, "combos.parquet"))
        _check_names(combos)
        work = _Work(lake, request, report, batches)
        trials = work.trials()
        best = {symbol: _best(rows, request.objective) for symbol, rows in trials.items()}
        for symbol, row in best.items():
            if row[request.objective] is None:
                report.warn(f"{symbol}: {request.objective} is undefined for every trial, so the first one is shown")
        files = [lake.add_table("grid.parquet", grid_table(trials, combos))]
        files += [entry for part in work.best_runs(best) for entry in part.files]
        facts = _facts(request, best, combos)
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

    def __init__(self, lake: Lake, request: BacktestRequest, report: Report, batches: Sequence[Batch]) -> None:
        self._lake, self._request, self._report, self._batches = lake, request, report, batches
        self._symbols = list(dict.fromkeys(batch.symbol for batch in batches))
        self._done, self._rows = 0, 0

    def trials(self) -> dict[str, list[dict[str, Any]]]:
        """Return symbol -> its trials in order: `combo` and the metrics."""
        keys = [self._key("trials", batch) for batch in self._batches]
        tasks = [
            Task(
                f"{STAGE} {b.symbol} {b.name}",
                run_batch,
                (self._lake, key, b.symbol, b.features, b.signals, self._request),
            )
            for key, b in zip(keys, self._batches, strict=True)
        ]
        parts = self._made(keys, tasks, [batch.size for batch in self._batches])
        rows: dict[str, list[dict[str, Any]]] = {symbol: [] for symbol in self._symbols}
        for part in parts:
            rows[part.facts["symbol"]].extend(part.facts["trials"])
        return {symbol: sorted(trials, key=lambda row: int(row["combo"])) for symbol, trials in rows.items()}

    def best_runs(self, best: dict[str, dict[str, Any]]) -> list[Part]:
        """Return the part of each symbol's best trial: its trades and its curve."""
        keys, tasks, sizes = [], [], []
        for symbol in self._symbols:
            combo = int(best[symbol]["combo"])
            b = next(b for b in self._batches if b.symbol == symbol and _holds(b.signals, combo))
            keys.append(self._key(f"best {combo}", b))
            args = (self._lake, keys[-1], symbol, b.features, b.signals, combo, self._request)
            tasks.append(Task(f"{STAGE} {symbol} best {combo}", run_best, args))
            sizes.append(int(b.signals.facts["n_bars"]))
        return self._made(keys, tasks, sizes)

    def _key(self, what: str, batch: Batch) -> str:
        files = [batch.symbol, batch.features.sha256, batch.signals.sha256, batch.name]
        return digest([STAGE, VERSION, what, self._request.canonical(), files])

    def _made(self, keys: Sequence[str], tasks: Sequence[Task[Part]], sizes: Sequence[int]) -> list[Part]:
        """Return the parts in the order of the tasks, telling of each as it comes."""
        parts = {index: part for index, key in enumerate(keys) if (part := self._lake.part(STAGE, key))}
        todo = [index for index in range(len(tasks)) if index not in parts]
        self._tell(len(parts), sum(sizes[index] for index in parts), "")
        small = sum(sizes[index] for index in todo) <= SMALL
        work = (tasks[index] for index in todo)
        for k, part in map_unordered(work, small=small, cancelled=self._report.cancelled, warn=self._report.warn):
            parts[todo[k]] = part
            self._tell(1, sizes[todo[k]], tasks[todo[k]].name)
        return [parts[index] for index in range(len(tasks))]

    def _tell(self, done: int, rows: int, message: str) -> None:
        self._done, self._rows = self._done + done, self._rows + rows
        self._report.progress(self._done, len(self._batches) + len(self._symbols), self._rows, message)


def _batches(lake: Lake, signals: Manifest) -> list[Batch]:
    """Return the signals' files, each with its symbol's features, in the manifest's order."""
    if signals.stage != "signals":
        raise InvalidRequest("inputs", f"{signals.id} comes from the {signals.stage} stage, signals are needed")
    features = lake.ancestor(signals, "features")
    batches = []
    for entry in signals.files:
        if symbol := entry.facts.get("symbol"):
            table = features.file(f"{symbol}.parquet")
            if table is None:
                raise MissingPartition("features", symbol)
            batches.append(Batch(symbol, table, entry))
    if not batches:
        raise MissingPartition("signals", "of any symbol")
    return batches


def _check_names(combos: pa.Table) -> None:
    """Raise InvalidRequest when a parameter is called like a metric: the table of trials has a column of each."""
    for name in sorted({"symbol", *Metrics.__annotations__} & set(combos.column_names)):
        raise InvalidRequest(f"parameters.{name}", "is the name of a metric: call the parameter something else")


def _holds(signals: FileEntry, combo: int) -> bool:
    first = int(signals.facts["first_combo"])
    return first <= combo < first + int(signals.facts["n_combos"])


def _best(rows: Sequence[dict[str, Any]], objective: str) -> dict[str, Any]:
    return rows[best_trial([row[objective] for row in rows])]


def _facts(request: BacktestRequest, best: dict[str, dict[str, Any]], combos: pa.Table) -> dict[str, Any]:
    """Return what a reader wants first: the best trial of each symbol."""
    parameters = combos.drop_columns(["combo"]).to_pylist() if combos.num_columns > 1 else [{}] * combos.num_rows
    chosen = {
        symbol: {
            "combo": row["combo"],
            "parameters": parameters[row["combo"]],
            "metrics": {name: row[name] for name in Metrics.__annotations__},
        }
        for symbol, row in best.items()
    }
    return {"objective": request.objective, "n_combos": combos.num_rows, "best": chosen}


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
