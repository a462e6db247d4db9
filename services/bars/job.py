"""The bars stage: the days of each symbol in order, symbols side by side, sums checked against the source.

A partition is read once, for every kind of bar asked for. Where there is room for more tasks than there are symbols,
days are read side by side and say what they leave of any state (`survey`): the states before them are composed here,
and then their bars are built side by side as well. Elsewhere each day waits for the one before. The bytes are the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any

from services.bars.adapters.partitions import scales_of
from services.bars.domain.carry import Table, composed, counted, is_certain
from services.bars.domain.inverse import without_money
from services.bars.domain.rule import lots_of, rule_of
from services.bars.domain.state import State
from services.bars.domain.summary import NotContinued, amount, symbol_facts
from services.bars.domain.target import thresholds_of
from services.bars.remote import STAGE, Before, Step, Work, field_of, fold, found, survey
from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.contracts.bars import VERSION, BarsRequest, source_fault
from tickloom.contracts.download import INTERVAL_US
from tickloom.contracts.events import StageCall
from tickloom.errors import InvalidRequest
from tickloom.fanout import Kept, Task, fold_chains, map_unordered, place
from tickloom.http import Report
from tickloom.lake import Lake, open_lake

BATCH_ROWS = 1_000_000
SMALL_ROWS = 300_000
SPREAD = 4
"""Tasks at once per symbol from which on it is quicker to read every day without waiting, and to go over it twice."""

Days = tuple[FileEntry, ...]
_Kept = Kept[dict[str, tuple[Table, ...] | None]]


class BarsJob:
    """Aggregates a download artifact into bars and publishes them as one artifact."""

    def __init__(self, lake: Lake | None = None) -> None:
        self._lake = lake

    def run(self, call: StageCall, report: Report) -> Manifest:
        """Make the artifact and return its manifest.

        Raises InvalidRequest, UnknownArtifact, ExactnessLost, NotConserved, CorruptFile, StageCancelled.
        """
        lake = self._lake or open_lake()
        done = lake.find(call.artifact_id)
        if done is not None:
            return done
        request = BarsRequest.model_validate(call.request)
        if len(call.inputs) != 1:
            raise InvalidRequest("input", "bars are made of one artifact of the download stage")
        source = lake.manifest(call.inputs[0])
        if source.stage != "download":
            raise InvalidRequest("input", f"bars are made of a download, not of the stage {source.stage}")
        symbols = [_symbol(request, source, symbol) for symbol in source.facts["symbols"]]
        parts = _Run(lake, symbols, report).parts()
        return lake.put_manifest(_manifest(call, request, source, symbols, parts))


@dataclass(frozen=True)
class _Symbol:
    work: Work
    entries: Days


def _symbol(request: BarsRequest, source: Manifest, symbol: str) -> _Symbol:
    step = INTERVAL_US[source.facts["interval"]] if source.facts["data_type"] == "klines" else 0
    entries = sorted(source.under(f"{symbol}/"), key=lambda entry: entry.name)
    scales, inverse = scales_of(entries), source.facts["market"] == "coinm"
    rules = {}
    for name, spec in request.named().items():
        field = field_of(name)
        if fault := source_fault(spec, source.facts.get("interval"), source.facts["market"]):
            raise InvalidRequest(f"{field}.{fault[0]}", fault[1])
        rules[name] = rule_of(spec, scales["price_scale"], scales["quantity_scale"])
    targets = {name: rule.target for name, rule in rules.items() if rule.target is not None}
    ids_run_on = not _is_file(source)
    thresholds = {
        name: thresholds_of(of, rules[name].kind, entries, rules[name].scales(scales), ids_run_on=ids_run_on)
        for name, of in targets.items()
    }
    places = [int(entry.facts["quantity_scale"]) for entry in entries]
    lots = {
        name: dict(zip([e.name for e in entries], lots_of(rule, places, scales["quantity_scale"]), strict=True))
        for name, rule in rules.items()
        if rule.excess == "split"
    }
    work = Work(
        symbol, rules, thresholds, scales, entries[-1].name, _known_until(source, symbol), step, inverse, lots=lots
    )
    return _Symbol(work, tuple(entries))


def _known_until(source: Manifest, symbol: str) -> int | None:
    """Return up to when a symbol's last day is known.

    An exchange's archive is of a whole day, unless its klines say that trades are missing at the end; a file may end
    anywhere.
    """
    proven = source.facts["symbols"][symbol].get("known_until")
    known: int | None = source.facts.get("known_until", 0 if _is_file(source) else proven)
    return known


def _is_file(source: Manifest) -> bool:
    return bool(source.request.get("venue") == "file")


def _batches(entries: Iterable[FileEntry]) -> list[Days]:
    """Group partitions so that a task has enough to do; how they are grouped changes no byte of the result."""
    batches: list[list[FileEntry]] = []
    rows = BATCH_ROWS
    for entry in entries:
        if rows + (entry.rows or 0) > BATCH_ROWS:
            batches.append([])
            rows = 0
        batches[-1].append(entry)
        rows += entry.rows or 0
    return [tuple(batch) for batch in batches]


@dataclass(frozen=True)
class _Item:
    """A task: some days of a symbol, and bars to build of them."""

    index: int
    days: Days
    before: Before | None  # None: what the item before it in its chain leaves
    kept: Any = None


class _Run:
    """The parts of every symbol's bars, made in whatever order there is room for."""

    def __init__(self, lake: Lake, symbols: Sequence[_Symbol], report: Report) -> None:
        self._lake, self._symbols, self._report = lake, symbols, report
        self._made: list[dict[str, dict[str, Part]]] = [{name: {} for name in s.work.rules} for s in symbols]
        self._done = self._rows = 0  # counted once for each name of bars

    def parts(self) -> list[dict[str, list[Part]]]:
        """Return each symbol's parts by name of the bars, in the order of its days."""
        rows = sum(entry.rows or 0 for symbol in self._symbols for entry in symbol.entries)
        if rows < SMALL_ROWS:
            self._fold(small=True)
        else:
            where = place(self._report.warn)
            wide = where.keeps and where.width >= SPREAD * len(self._symbols)
            if wide and not self._symbols[0].work.step:
                self._spread(2 * where.width)
            else:
                self._fold(threads=where.width > len(self._symbols))
        return [
            {name: [made[entry.name] for entry in symbol.entries] for name, made in of_symbol.items()}
            for symbol, of_symbol in zip(self._symbols, self._made, strict=True)
        ]

    def _fold(self, *, small: bool = False, threads: bool = False) -> None:
        """Build day after day, symbols side by side."""
        if threads:
            self._symbols = [_Symbol(replace(s.work, threads=True), s.entries) for s in self._symbols]
        read = [[(days, None) for days in _batches(symbol.entries)] for symbol in self._symbols]
        self._build(
            [self._chain(index, days, tuple(self._made[index])) for index, days in enumerate(read)], small=small
        )

    def _spread(self, at_once: int) -> None:
        """Read days side by side, so many batches at once, then build their bars side by side."""
        todo = []
        for index in range(len(self._symbols)):
            todo += [(index, days) for days in _batches(self._left(index))]
        batches = iter(todo)
        while wave := list(islice(batches, at_once)):
            kept = zip(wave, self._survey(wave), strict=True)
            chains: list[list[_Item]] = []
            for index, group in groupby(kept, key=lambda pair: pair[0][0]):
                chains += self._planned(index, [(days, left) for (_, days), left in group])
            self._build(chains)
            self._check_continued(item for chain in chains for item in chain)

    def _left(self, index: int) -> Days:
        """Take what the lake has of the symbol's first days, and return the days after them."""
        work, entries = self._symbols[index].work, self._symbols[index].entries
        there = {name: found(self._lake, work, name, entries) for name in work.rules}
        n_days = min(map(len, there.values()))
        self._take(index, entries[:n_days], there)
        return entries[n_days:]

    def _survey(self, wave: Sequence[tuple[int, Days]]) -> list[_Kept]:
        """Read these days and return what each batch of them leaves of any state; their trades are kept."""
        tasks = []
        known: dict[int, dict[str, int | None]] = {}
        for index, days in wave:
            work = self._symbols[index].work
            if index not in known:
                known[index] = {name: self._certain(index, name) for name in work.rules}
            tasks.append(Task(_name("survey", work, days), survey, (self._lake, work, days, known[index]), keeps=True))
            known[index] = {name: _beyond(work, name, at, days) for name, at in known[index].items()}
        kept: list[_Kept | None] = [None] * len(tasks)
        for k, result in map_unordered(tasks, cancelled=self._report.cancelled, warn=self._report.warn):
            kept[k] = result
        return [one for one in kept if one is not None]

    def _certain(self, index: int, name: str) -> int | None:
        rule = self._symbols[index].work.rules[name]
        return counted(State.from_json(self._state(index, name)), rule) if is_certain(rule) else None

    def _state(self, index: int, name: str) -> dict[str, Any]:
        """Return the state after the days that are built, which are the first ones."""
        made, entries = self._made[index][name], self._symbols[index].entries
        state: dict[str, Any] = made[entries[len(made) - 1].name].facts["state"] if made else State().to_json()
        return state

    def _planned(self, index: int, read: Sequence[tuple[Days, _Kept]]) -> list[list[_Item]]:
        """Return the chains that build a symbol's batches: of one batch each where the states before are known."""
        chains, fold_of = [], []
        ahead: list[dict[str, dict[str, Any]]] = [{} for _ in read]
        for name in self._made[index]:
            states = _composed(self._state(index, name), [left.result[name] for _, left in read])
            if states is None:
                fold_of.append(name)
            else:
                for before, state in zip(ahead, states, strict=True):
                    before[name] = state
        if ahead[0]:
            chains += [
                [_Item(index, days, before, left.bulk)] for (days, left), before in zip(read, ahead, strict=True)
            ]
        return chains + ([self._chain(index, [(d, left.bulk) for d, left in read], tuple(fold_of))] if fold_of else [])

    def _chain(self, index: int, read: Sequence[tuple[Days, Any]], names: tuple[str, ...]) -> list[_Item]:
        """Return the items that build batches one after another, from the symbol's last known state on."""
        before = {name: self._state(index, name) for name in names}
        return [_Item(index, days, before if k == 0 else None, kept) for k, (days, kept) in enumerate(read)]

    def _build(self, chains: Sequence[Sequence[_Item]], *, small: bool = False) -> None:
        def step(item: _Item, before: Step | None) -> Task[Step]:
            work = self._symbols[item.index].work
            states = item.before if item.before is not None else before.states if before else {}
            return Task(_name(STAGE, work, item.days), fold, (self._lake, work, item.days, states), given=item.kept)

        at = [0] * len(chains)
        cancelled, warn = self._report.cancelled, self._report.warn
        for chain, result in fold_chains(chains, step, small=small, cancelled=cancelled, warn=warn):
            item = chains[chain][at[chain]]
            at[chain] += 1
            self._take(item.index, item.days, result.parts)

    def _take(self, index: int, days: Days, parts: Mapping[str, Sequence[Part]]) -> None:
        """Keep what was built of these days, and tell of it."""
        for name, made in parts.items():
            self._made[index][name] |= {entry.name: part for entry, part in zip(days, made, strict=False)}
            self._done += len(days)
            self._rows += sum(entry.rows or 0 for entry in days)
        if days:
            names, total = len(self._made[index]), sum(len(symbol.entries) for symbol in self._symbols)
            day = f"{self._symbols[index].work.symbol} {days[-1].facts['day']}"
            self._report.progress(self._done // names, total, self._rows // names, day)

    def _check_continued(self, items: Iterable[_Item]) -> None:
        """Compare the states that bars were built from with those that the days before them left."""
        for item in items:
            entries = self._symbols[item.index].entries
            at = entries.index(item.days[0])
            for name, state in (item.before or {}).items():
                if at and self._made[item.index][name][entries[at - 1].name].facts["state"] != state:
                    raise NotContinued(self._symbols[item.index].work.symbol, item.days[0].name)


def _composed(state: dict[str, Any], read: Sequence[tuple[Table, ...] | None]) -> list[dict[str, Any]] | None:
    """Return the state before each batch, given that before the first; None where a table does not tell."""
    after: State | None = State.from_json(state)
    states = [state]
    for tables in read[:-1]:
        after = composed(tables, after) if tables is not None and after is not None else None
        if after is None:
            return None
        states.append(after.to_json())
    return states


def _beyond(work: Work, name: str, known: int | None, days: Days) -> int | None:
    """Return what is counted after these days, modulo the threshold, given what is before them."""
    if known is None:
        return None
    rule = work.rules[name]
    return (known + sum(amount(entry, rule.kind, rule.scales(work.scales)) for entry in days)) % rule.size


def _name(what: str, work: Work, days: Days) -> str:
    first, last = days[0].facts["day"], days[-1].facts["day"]
    return f"{what} {work.symbol} {first}" + (f"..{last}" if last != first else "")


def _manifest(
    call: StageCall,
    request: BarsRequest,
    source: Manifest,
    symbols: Sequence[_Symbol],
    parts: Sequence[Mapping[str, Sequence[Part]]],
) -> Manifest:
    files: list[FileEntry] = []
    bars: dict[str, dict[str, Any]] = {}
    for name, spec in request.named().items():
        facts = {}
        for symbol, of_symbol in zip(symbols, parts, strict=True):
            work, made = symbol.work, of_symbol[name]
            scales = work.scales_of(name)
            of_all = symbol_facts(work.symbol, scales, symbol.entries, made, klines=bool(work.step))
            facts[work.symbol] = without_money(of_all) if work.inverse else of_all
            files += [_renamed(entry, name) for part in made for entry in part.files]
        bars[name] = {"kind": spec.kind, "symbols": facts}
    return Manifest(
        id=call.artifact_id,
        stage=STAGE,
        version=VERSION,
        request=call.request,
        inputs=call.inputs,
        files=tuple(sorted(files, key=lambda entry: entry.name)),
        facts=bars.get("", {"bars": bars}) | {"quality": source.facts["quality"]},
    )


def _renamed(entry: FileEntry, name: str) -> FileEntry:
    return entry.model_copy(update={"name": f"{name}/{entry.name}"}) if name else entry
