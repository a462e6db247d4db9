"""The signals stage: parse the rules, fan out over symbols and batches of parameter sets, commit."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import pyarrow as pa

from services.signals.domain.decisions import Decisions
from services.signals.domain.rules import Rules
from services.signals.remote import STAGE, make_batch, numeric_columns
from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.contracts.calls import request_of
from tickloom.contracts.events import StageCall
from tickloom.contracts.signals import VERSION, SignalsRequest
from tickloom.errors import InvalidRequest, MissingPartition
from tickloom.fanout import Task, map_unordered
from tickloom.http import Report
from tickloom.identity import digest
from tickloom.lake import Lake, open_lake
from tickloom.rules.binding import Combination
from tickloom.rules.grid import combinations

BATCH = 32
"""Parameter sets in a file. It is part of what the artifact looks like, so it never depends on the machine."""
SMALL = 4_000_000
"""Bars times parameter sets below which processes cost more than they bring."""


class SignalsJob:
    """Turn features into masks, for every symbol and every parameter set of the grid."""

    def __init__(self, lake: Lake | None = None) -> None:
        self._lake = lake

    def run(self, call: StageCall, report: Report) -> Manifest:
        """Make the artifact and return its manifest. The same call twice is one computation and one answer.

        Raises, before any work is handed out, UnknownColumn for one that the features lack; what is wrong with a
        strategy: StrategyNotAllowed, UnknownStrategy, StrategyChanged, StrategyFailed; and InvalidRequest, for a rule
        that is none too, UnknownArtifact, MissingPartition, CorruptFile.
        """
        lake = self._lake or open_lake()
        request = request_of(call, STAGE, SignalsRequest, "signals are made from one features artifact")
        if found := lake.find(call.artifact_id):
            return found
        grid = combinations(request.parameters)
        rules = Decisions.of(request, request.strategy) if request.strategy else Rules.of(request)
        tables = feature_tables(lake.manifest(call.inputs[0]))
        for known in dict.fromkeys(tuple(numeric_columns(lake, entry)) for entry in tables.values()):
            rules.columns(grid, known)
        parts = _fan_out(lake, report, request, rules, grid, tables)
        files = [combos_table(lake, request, grid), *(entry for part in parts for entry in part.files)]
        never = sum(int(entry.facts.get("n_without_entry", 0)) for entry in files)
        names = {"symbols": list(tables), "parameters": sorted(request.parameters)}
        facts = {**names, "n_combos": len(grid), "n_without_entry": never}
        return lake.put_manifest(
            Manifest(
                id=call.artifact_id, stage=STAGE, version=VERSION, request=request.canonical(),
                inputs=call.inputs, files=tuple(files), facts=facts,
            )
        )  # fmt: skip


def feature_tables(manifest: Manifest) -> dict[str, FileEntry]:
    """Return symbol -> table of features. Raises InvalidRequest for an artifact of another stage."""
    if manifest.stage != "features":
        raise InvalidRequest("inputs", f"{manifest.id} comes from the {manifest.stage} stage, features are needed")
    tables = {str(PurePosixPath(e.name).with_suffix("")): e for e in manifest.files if e.name.endswith(".parquet")}
    if not tables:
        raise MissingPartition("features", "of any symbol")
    return tables


def combos_table(lake: Lake, request: SignalsRequest, grid: Sequence[Combination]) -> FileEntry:
    """Store the grid: a row per combination, `combo` and a column per parameter."""
    columns: dict[str, pa.Array] = {"combo": pa.array(range(len(grid)), pa.int32())}
    for name, values in sorted(request.parameters.items()):
        whole = all(isinstance(value, int) for value in values)
        columns[name] = pa.array([combination[name] for combination in grid], pa.int64() if whole else pa.float64())
    return lake.add_table("combos.parquet", pa.table(columns))


def _fan_out(
    lake: Lake, report: Report, request: SignalsRequest, rules: Rules | Decisions, grid: Sequence[Combination],
    tables: dict[str, FileEntry],
) -> list[Part]:  # fmt: skip
    """Return the parts of all batches in order, those kept from an earlier attempt and those made now."""
    batches = [(symbol, first) for symbol in tables for first in range(0, len(grid), BATCH)]
    parts: dict[int, Part] = {}
    todo: list[tuple[int, Task[Part]]] = []
    for index, (symbol, first) in enumerate(batches):
        batch = grid[first : first + BATCH]
        key = _key(request, tables[symbol], symbol, first, batch)
        if kept := lake.part(STAGE, key):
            parts[index] = kept
        else:
            name = f"{STAGE} {symbol} {first}-{first + len(batch) - 1}"
            args = (lake, key, symbol, tables[symbol], rules, first, batch)
            todo.append((index, Task(name, make_batch, args)))
    n_rows = sum(map(_rows, parts.values()))
    report.progress(len(parts), len(batches), n_rows)
    small = sum(tables[batches[index][0]].rows or SMALL for index, _ in todo) * BATCH <= SMALL
    tasks = (task for _, task in todo)
    for k, part in map_unordered(tasks, small=small, cancelled=report.cancelled, warn=report.warn):
        parts[todo[k][0]] = part
        n_rows += _rows(part)
        report.progress(len(parts), len(batches), n_rows, todo[k][1].name)
    if silent := _silent(parts.values()):
        report.warn(f"no entry is ever signalled for {', '.join(silent)}: nothing will be traded there")
        report.progress(len(parts), len(batches), n_rows)
    return [parts[index] for index in range(len(batches))]


def _silent(parts: Iterable[Part]) -> list[str]:
    """Return the symbols for which no parameter set ever enters."""
    heard: dict[str, bool] = {}
    for entry in (entry for part in parts for entry in part.files):
        facts = entry.facts
        heard[facts["symbol"]] = heard.get(facts["symbol"], False) or facts["n_without_entry"] < facts["n_combos"]
    return sorted(symbol for symbol, is_heard in heard.items() if not is_heard)


def _rows(part: Part) -> int:
    """Return the bars times parameter sets that a part stands for."""
    return sum(int(entry.facts["n_bars"]) * int(entry.facts["n_combos"]) for entry in part.files)


def _key(request: SignalsRequest, features: FileEntry, symbol: str, first: int, batch: Sequence[Combination]) -> str:
    """Return the digest of all that a batch depends on."""
    rules = request.canonical()
    del rules["parameters"]
    return digest([STAGE, VERSION, rules, features.sha256, symbol, first, list(batch)])
