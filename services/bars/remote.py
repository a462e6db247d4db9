"""Tasks of the bars stage: a few days of one symbol each, read once for all the bars that are made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from services.bars.adapters.partitions import bars_table, load_klines, load_trades
from services.bars.domain.build import DAY_US, close_bars
from services.bars.domain.carry import Table, tables_of
from services.bars.domain.ends import check_pieces
from services.bars.domain.inverse import MONEY
from services.bars.domain.merge import merge_klines
from services.bars.domain.rule import Rule
from services.bars.domain.state import Bars, State, Trades
from services.bars.domain.summary import threshold_text
from services.bars.domain.target import ONE_BAR
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.contracts.bars import VERSION
from tickloom.fanout import Kept
from tickloom.identity import digest
from tickloom.kernel import I64
from tickloom.lake import Lake

STAGE = "bars"
Before = Mapping[str, dict[str, Any]]
"""Name of the bars -> the state before a partition, as JSON."""


@dataclass(frozen=True)
class Work:
    """What does not change from one day of a symbol to the next."""

    symbol: str
    rules: Mapping[str, Rule]  # by name of the bars
    thresholds: Mapping[str, Mapping[str, int]]  # by name of the bars that have one each day, and partition
    scales: dict[str, int]  # of the trades
    last: str  # the symbol's last partition
    known_until: int | None  # microseconds, up to which no trade of its day is missing at its end; None: it is whole
    step: int = 0  # microseconds, the interval of klines; 0: trades
    inverse: bool = False  # quantities are contracts: see domain/inverse.py
    threads: bool = False  # whether columns are decoded side by side
    lots: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # by name of the bars that split, and partition

    def rule(self, name: str, entry: FileEntry) -> Rule:
        """Return the rule of the bars in force in a partition."""
        rule = self.rules[name]
        rule = rule.of_day(self.thresholds[name][entry.name]) if name in self.thresholds else rule
        return replace(rule, lot=self.lots[name][entry.name]) if name in self.lots else rule

    def scales_of(self, name: str) -> dict[str, int]:
        """Return the scales on which the bars are counted and published."""
        return self.rules[name].scales(self.scales)

    def until(self, entry: FileEntry) -> int:
        """Return the time before which no trade is to come after a partition: its day's end, if that is known."""
        end = (date.fromisoformat(entry.facts["day"]) - date(1970, 1, 1)).days * DAY_US + DAY_US
        return end if self.known_until is None or entry.name != self.last else min(end, self.known_until)

    def key(self, name: str, entry: FileEntry, state: dict[str, Any]) -> str:
        """Return the digest of all that the bars of a partition depend on; what they are called is not among it."""
        rule = self.rule(name, entry)
        what = {"version": VERSION, "rule": vars(rule), "scales": self.scales, "step": self.step}
        what |= {"inverse": True} if self.inverse else {}
        what |= {"until": self.until(entry)} if rule.by_clock and not self.step else {}
        return digest({**what, "symbol": self.symbol, "file": entry.name, "sha256": entry.sha256, "state": state})


@dataclass(frozen=True)
class Step:
    """What a task brings back: by name of the bars one part per partition, in order, and the state after the last."""

    parts: Mapping[str, tuple[Part, ...]]
    states: Before


def field_of(name: str) -> str:
    """Return the field of the request that has the spec of the bars with this name."""
    return f"specs.{name}" if name else "spec"


def survey(
    lake: Lake, work: Work, entries: tuple[FileEntry, ...], known: Mapping[str, int | None]
) -> Kept[dict[str, tuple[Table, ...] | None]]:
    """Read partitions, keep their trades, and return what they leave of any state, of the bars named in `known`.

    Raises InvalidRequest, ExactnessLost, CorruptFile.
    """
    trades = {entry.name: load_trades(lake, entry, work.scales) for entry in entries}
    days = [(trades[entry.name], work.until(entry)) for entry in entries]
    tables = {}
    for name, carry in known.items():
        rules = [work.rule(name, entry) for entry in entries]
        for (of_day, _), rule in zip(days, rules, strict=True):
            check_pieces(field_of(name), of_day, rule)
        tables[name] = tables_of(days, rules, carry)
    return Kept(tables, trades)


def fold(
    lake: Lake, work: Work, entries: tuple[FileEntry, ...], before: Before, kept: Mapping[str, Trades] | None = None
) -> Step:
    """Build the bars named in `before` that close in these partitions. Raises as `survey` does.

    A partition is read once for all of them, and not at all where it was kept or every part is there.
    """
    parts: dict[str, list[Part]] = {name: [] for name in before}
    states = dict(before)
    for entry in entries:
        partition = _Partition(lake, work, entry, kept or {})
        for name in states:
            part = partition.part(name, {"is_last": entry.name == work.last} if work.step else states[name])
            parts[name].append(part)
            states[name] = part.facts.get("state", {})
    return Step({name: tuple(made) for name, made in parts.items()}, states)


def found(lake: Lake, work: Work, name: str, entries: Sequence[FileEntry]) -> list[Part]:
    """Return the parts that the lake has of the first partitions: those after them, one has to build."""
    parts: list[Part] = []
    state = State().to_json()
    for entry in entries:
        part = lake.part(STAGE, work.key(name, entry, state))
        if part is None:
            break
        state = part.facts["state"]
        parts.append(part)
    return parts


class _Partition:
    """One partition: read when the first part has to be made, and then no more."""

    def __init__(self, lake: Lake, work: Work, entry: FileEntry, kept: Mapping[str, Trades]) -> None:
        self._lake, self._work, self._entry = lake, work, entry
        self._trades = kept.get(entry.name)
        self._klines: dict[str, I64] | None = None

    def part(self, name: str, state: dict[str, Any]) -> Part:
        key = self._work.key(name, self._entry, state)
        return self._lake.part(STAGE, key) or self._store(key, name, *self._built(name, state))

    def _built(self, name: str, state: dict[str, Any]) -> tuple[Bars, dict[str, Any]]:
        work, rule = self._work, self._work.rule(name, self._entry)
        if work.step:
            self._klines = self._klines or load_klines(self._lake, self._entry, work.scales)
            bars, partial, incomplete = merge_klines(self._klines, work.step, rule.size, state["is_last"])
            left = {name: int(values[0]) for name, values in partial.columns.items()} if partial.n_bars else None
            return bars, {"partial": left, "residual": partial.sums(), "incomplete": incomplete}
        self._trades = self._trades or load_trades(self._lake, self._entry, work.scales, threads=work.threads)
        check_pieces(field_of(name), self._trades, rule)
        bars, after = close_bars(self._trades, rule, State.from_json(state), work.until(self._entry))
        return bars, {"state": after.to_json(), "guards": bars.guards}

    def _store(self, key: str, name: str, bars: Bars, facts: dict[str, Any]) -> Part:
        files, work, rule = [], self._work, self._work.rule(name, self._entry)
        scales = work.scales_of(name)
        if bars.n_bars:
            ts_open, ts_close = bars.columns["ts_open"], bars.columns["ts_close"]
            about = {"symbol": work.symbol, "first_ts": int(ts_open[0]), "last_ts": int(ts_close[-1]), **scales}
            if rule.target is not None and rule.size != ONE_BAR:
                about["threshold"] = threshold_text(rule.kind, rule.size, scales)
            table = bars_table(bars, scales)
            if work.inverse:
                table = table.drop_columns([name for name in table.column_names if name in MONEY])
            files.append(self._lake.add_table(self._entry.name, table, facts=about))
        return self._lake.put_part(STAGE, key, Part(files=tuple(files), facts={"sums": bars.sums(), **facts}))
