"""The features stage: one task a symbol, then a manifest."""

from collections.abc import Sequence
from typing import Any

from services.features.domain.errors import NotBars
from services.features.remote import STAGE, make_symbol
from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.contracts.bars import bars_of
from tickloom.contracts.calls import request_of
from tickloom.contracts.events import StageCall
from tickloom.contracts.features import VERSION, FeaturesRequest
from tickloom.errors import InvalidRequest
from tickloom.fanout import Task, map_unordered
from tickloom.http import Report
from tickloom.identity import digest
from tickloom.lake import Lake, open_lake

SMALL_VALUES = 2_000_000
"""Values to compute below which sending tasks away costs more than it saves."""


class FeaturesJob:
    """Computes a request's features over every symbol of a bars artifact."""

    def __init__(self, lake: Lake | None = None) -> None:
        self._lake = lake

    def run(self, call: StageCall, report: Report) -> Manifest:
        """Make the artifact and return its manifest. The same call twice is one computation and one answer.

        Raises InvalidRequest, NotBars, UnknownArtifact, BarsIncomplete, BarsOutOfOrder, CorruptFile.
        """
        lake = self._lake or open_lake()
        request = request_of(call, STAGE, FeaturesRequest, "features are computed over one bars artifact")
        made = lake.find(call.artifact_id)
        if made is None:
            bars = _chosen(lake.manifest(call.inputs[0]), request.bars)
            symbols = _symbols(bars)
            facts = {
                "symbols": list(symbols),
                "without_bars": sorted(set(bars.facts.get("symbols", ())) - set(symbols)),
                "columns": list(request.columns()),
            }
            made = lake.put_manifest(_manifest(call, self._parts(lake, symbols, request, report), facts))
        _warn(made, report)
        report.progress(len(made.files), len(made.files), _rows(made.files))
        return made

    def _parts(
        self, lake: Lake, symbols: dict[str, list[FileEntry]], request: FeaturesRequest, report: Report
    ) -> list[Part]:
        keys = {symbol: _key(symbol, entries, request) for symbol, entries in symbols.items()}
        parts = {symbol: part for symbol, key in keys.items() if (part := lake.part(STAGE, key))}
        todo = [symbol for symbol in symbols if symbol not in parts]
        rows = sum(_rows(part.files) for part in parts.values())
        report.progress(len(parts), len(symbols), rows)
        tasks = [
            Task(f"{STAGE} {symbol}", make_symbol, (lake, keys[symbol], symbol, symbols[symbol], request))
            for symbol in todo
        ]
        values = sum(entry.rows or SMALL_VALUES for symbol in todo for entry in symbols[symbol])
        small = values * len(request.columns()) < SMALL_VALUES
        for index, part in map_unordered(tasks, small=small, cancelled=report.cancelled, warn=report.warn):
            parts[todo[index]] = part
            rows += _rows(part.files)
            report.progress(len(parts), len(symbols), rows, tasks[index].name)
        return [parts[symbol] for symbol in symbols]


def _chosen(bars: Manifest, name: str | None) -> Manifest:
    try:
        return bars_of(bars, name)
    except ValueError as error:
        raise InvalidRequest("bars", str(error)) from None


def _symbols(bars: Manifest) -> dict[str, list[FileEntry]]:
    """Return each symbol's bar files, `<symbol>.parquet` or `<symbol>/<part>.parquet`, symbols and parts by name."""
    if bars.stage != "bars":
        raise NotBars(bars.id, f"it was made by the {bars.stage} stage")
    symbols: dict[str, list[FileEntry]] = {}
    for entry in sorted(bars.files, key=lambda entry: entry.name):
        if entry.name.endswith(".parquet"):
            symbols.setdefault(entry.name.removesuffix(".parquet").split("/")[0], []).append(entry)
    if not symbols:
        raise NotBars(bars.id, "it holds no bars")
    return symbols


def _key(symbol: str, entries: Sequence[FileEntry], request: FeaturesRequest) -> str:
    files = [entry.sha256 for entry in entries]
    return digest({"version": VERSION, "symbol": symbol, "request": request.canonical(), "files": files})


def _rows(files: Sequence[FileEntry]) -> int:
    return sum(entry.rows or 0 for entry in files)


def _manifest(call: StageCall, parts: Sequence[Part], facts: dict[str, Any]) -> Manifest:
    return Manifest(
        id=call.artifact_id,
        stage=STAGE,
        version=VERSION,
        request=call.request,
        inputs=call.inputs,
        files=tuple(entry for part in parts for entry in part.files),
        facts=facts,
    )


def _warn(made: Manifest, report: Report) -> None:
    """Say which symbols have no bars, and where there are too few for a column to have a single value."""
    for symbol in made.facts["without_bars"]:
        report.warn(f"{symbol} has no bars: there are no features of it")
    columns = FeaturesRequest.model_validate(made.request).columns()
    for entry in made.files:
        empty = [name for name in columns if entry.facts["warmup"][name] >= (entry.rows or 0)]
        if empty:
            names = ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
            report.warn(f"{entry.facts['symbol']} has {entry.rows} bars, too few for any value of {names}")
