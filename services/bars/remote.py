"""Tasks of the bars stage: a few days of one symbol each, with the state of the days before."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from services.bars.adapters.partitions import bars_table, load_klines, load_trades
from services.bars.domain.build import close_bars
from services.bars.domain.merge import merge_klines
from services.bars.domain.rule import Rule
from services.bars.domain.state import Bars, State
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.contracts.bars import VERSION
from tickloom.identity import digest
from tickloom.lake import Lake

STAGE = "bars"
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Work:
    """What does not change from one day of a symbol to the next."""

    symbol: str
    rule: Rule
    scales: dict[str, int]
    step: int = 0  # microseconds, the interval of klines; 0: trades


@dataclass(frozen=True)
class Step:
    """What a task brings back: one part per partition, in order, and the state after the last."""

    parts: tuple[Part, ...]
    state: dict[str, Any]


def fold_trades(lake: Lake, work: Work, entries: tuple[FileEntry, ...], state: dict[str, Any]) -> Step:
    """Build the bars that close in these partitions. Raises ExactnessLost, CorruptFile."""
    parts = []
    for entry in entries:
        key = _key(work, entry, state)
        part = lake.part(STAGE, key)
        if part is None:
            until = (date.fromisoformat(entry.facts["day"]) - date(1970, 1, 1)).days * DAY_US + DAY_US
            bars, left = close_bars(load_trades(lake, entry, work.scales), work.rule, State.from_json(state), until)
            part = _store(lake, work, entry, key, bars, {"state": left.to_json(), "guards": bars.guards})
        state = part.facts["state"]
        parts.append(part)
    return Step(tuple(parts), state)


def merge_partitions(lake: Lake, work: Work, entries: tuple[FileEntry, ...], last: str) -> Step:
    """Build time bars of these partitions of klines; `last` names the symbol's last one."""
    parts = []
    for entry in entries:
        key = _key(work, entry, {"is_last": entry.name == last})
        part = lake.part(STAGE, key)
        if part is None:
            klines = load_klines(lake, entry, work.scales)
            bars, partial, incomplete = merge_klines(klines, work.step, work.rule.size, entry.name == last)
            left = {name: int(values[0]) for name, values in partial.columns.items()} if partial.n_bars else None
            facts = {"partial": left, "residual": partial.sums(), "incomplete": incomplete}
            part = _store(lake, work, entry, key, bars, facts)
        parts.append(part)
    return Step(tuple(parts), {})


def _key(work: Work, entry: FileEntry, state: dict[str, Any]) -> str:
    what = {"version": VERSION, "rule": vars(work.rule), "scales": work.scales, "step": work.step}
    return digest({**what, "symbol": work.symbol, "file": entry.name, "sha256": entry.sha256, "state": state})


def _store(lake: Lake, work: Work, entry: FileEntry, key: str, bars: Bars, facts: dict[str, Any]) -> Part:
    files = []
    if bars.n_bars:
        ts_open, ts_close = bars.columns["ts_open"], bars.columns["ts_close"]
        about = {"symbol": work.symbol, "first_ts": int(ts_open[0]), "last_ts": int(ts_close[-1]), **work.scales}
        files.append(lake.add_table(entry.name, bars_table(bars, work.scales), facts=about))
    return lake.put_part(STAGE, key, Part(files=tuple(files), facts={"sums": bars.sums(), **facts}))
