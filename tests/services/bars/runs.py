"""Bars from request to manifest, in this process, over artifacts that the download stage made."""

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from services.bars.job import BarsJob
from services.download.job import DownloadJob
from tickloom.contracts import bars, download
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.base import Contract
from tickloom.contracts.events import Progress, StageCall
from tickloom.http import Report
from tickloom.identity import artifact_id
from tickloom.lake import open_lake

DAY_US = 86_400_000_000
T0 = 1_704_412_800_000_000  # 2024-01-05T00:00:00Z


def _call(stage: str, version: int, request: Contract, *inputs: str) -> StageCall:
    body = request.canonical()
    return StageCall(artifact_id=artifact_id(stage, version, body, inputs), request=body, inputs=inputs)


def imported(**fields: Any) -> Manifest:
    """Return an artifact of the download stage made from files of the import folder."""
    request = download.DownloadRequest.model_validate({"venue": "file", **fields})
    return DownloadJob().run(_call("download", download.VERSION, request), Report())


def call_of(source: Manifest, **spec: Any) -> StageCall:
    return _call("bars", bars.VERSION, bars.BarsRequest.model_validate({"spec": spec}), source.id)


def call_of_several(source: Manifest, specs: dict[str, dict[str, Any]]) -> StageCall:
    return _call("bars", bars.VERSION, bars.BarsRequest.model_validate({"specs": specs}), source.id)


def run_several(source: Manifest, specs: dict[str, dict[str, Any]], told: list[Progress] | None = None) -> Manifest:
    return BarsJob().run(call_of_several(source, specs), Report(None if told is None else told.append))


def run(source: Manifest, told: list[Progress] | None = None, **spec: Any) -> Manifest:
    return BarsJob().run(call_of(source, **spec), Report(None if told is None else told.append))


def columns(manifest: Manifest, symbol: str) -> dict[str, list[Any]]:
    """Return a symbol's bars by column, partitions joined in the order of their names."""
    tables = [open_lake().read_table(entry).to_pydict() for entry in manifest.under(f"{symbol}/")]
    return {name: [value for table in tables for value in table[name]] for name in (tables[0] if tables else ())}


def write_trades(folder: Path, symbol: str, rows: list[tuple[int, int, str, str, bool]]) -> dict[str, str]:
    """Write trades (id, us, price, quantity, buyer is maker) as the exchange does; return the `files` of a request."""
    lines = [f"{i},{price},{quantity},0,{ts},{maker},True\n" for i, ts, price, quantity, maker in rows]
    (folder / f"{symbol}.csv").write_text("".join(lines))
    return {symbol: f"{symbol}.csv"}


def drawn_trades(
    rng: random.Random, days: Iterable[list[int]], drawn: Callable[[int], tuple[str, str]]
) -> list[tuple[int, int, str, str, bool]]:
    """Return trades as `write_trades` takes them: `days` holds the times of each, `drawn` gives price and quantity."""
    rows: list[tuple[int, int, str, str, bool]] = []
    for day, times in enumerate(days):
        for ts in times:
            price, quantity = drawn(day)
            rows.append((len(rows), T0 + day * DAY_US + ts, price, quantity, rng.random() < 0.5))
    return rows
