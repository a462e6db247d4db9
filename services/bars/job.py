"""The bars stage: the days of each symbol in order, symbols side by side, sums checked against the source."""

from collections.abc import Iterable, Iterator
from decimal import Decimal, localcontext
from typing import Any

from services.bars.adapters.partitions import scales_of
from services.bars.domain.rule import rule_of
from services.bars.domain.state import SUMS, State
from services.bars.remote import STAGE, Step, Work, fold_trades, merge_partitions
from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.contracts.bars import VERSION, BarsRequest, TimeBars
from tickloom.contracts.download import INTERVAL_US
from tickloom.contracts.events import StageCall
from tickloom.errors import InvalidRequest, TickloomError
from tickloom.fanout import Task, fold_chains
from tickloom.http import Report
from tickloom.lake import Lake, open_lake

BATCH_ROWS = 1_000_000
SMALL_ROWS = 300_000


class NotConserved(TickloomError):
    """The bars do not hold what the trades held: nothing is published."""

    next_step = "this is a defect of ours: please report it with the request"

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[1]} of the source is {self.args[2]}, of its bars {self.args[3]}"


class BarsJob:
    """Aggregates a download artifact into bars and publishes them as one artifact."""

    def run(self, call: StageCall, report: Report) -> Manifest:
        """Make the artifact and return its manifest.

        Raises InvalidRequest, UnknownArtifact, ExactnessLost, NotConserved, CorruptFile, StageCancelled.
        """
        lake = open_lake()
        done = lake.find(call.artifact_id)
        if done is not None:
            return done
        request = BarsRequest.model_validate(call.request)
        if len(call.inputs) != 1:
            raise InvalidRequest("input", "bars are made of one artifact of the download stage")
        source = lake.manifest(call.inputs[0])
        if source.stage != "download":
            raise InvalidRequest("input", f"bars are made of a download, not of the stage {source.stage}")
        works = _works(request, source)
        parts = _run(lake, works, source, report)
        return lake.put_manifest(_manifest(call, request, source, works, parts))


def _entries(source: Manifest, symbol: str) -> list[FileEntry]:
    return sorted(source.under(f"{symbol}/"), key=lambda entry: entry.name)


def _works(request: BarsRequest, source: Manifest) -> list[Work]:
    step = INTERVAL_US[source.facts["interval"]] if source.facts["data_type"] == "klines" else 0
    if step and not isinstance(request.spec, TimeBars):
        raise InvalidRequest("spec.kind", f"klines become time bars; {request.spec.kind} bars are made of trades")
    if step and isinstance(request.spec, TimeBars) and INTERVAL_US[request.spec.interval] % step:
        reason = f"{request.spec.interval} is not a multiple of the klines' {source.facts['interval']}"
        raise InvalidRequest("spec.interval", reason)
    works = []
    for symbol in source.facts["symbols"]:
        scales = scales_of(_entries(source, symbol))
        works.append(Work(symbol, rule_of(request.spec, scales["price_scale"], scales["quantity_scale"]), scales, step))
    return works


def _batches(entries: Iterable[FileEntry]) -> list[tuple[FileEntry, ...]]:
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


def _run(lake: Lake, works: list[Work], source: Manifest, report: Report) -> list[list[Part]]:
    """Return each symbol's parts in the order of its days."""
    entries = [_entries(source, work.symbol) for work in works]
    total = sum(map(len, entries))
    done = rows = 0

    def step(item: tuple[int, tuple[FileEntry, ...]], before: Step | None) -> Task[Step]:
        index, batch = item
        work = works[index]
        first, last = batch[0].facts["day"], batch[-1].facts["day"]
        name = f"bars {work.symbol} {first}" + (f"..{last}" if last != first else "")
        if work.step:
            return Task(name, merge_partitions, (lake, work, batch, entries[index][-1].name))
        return Task(name, fold_trades, (lake, work, batch, before.state if before else State().to_json()))

    chains: Iterator[list[tuple[int, tuple[FileEntry, ...]]]] = (
        [(index, batch) for batch in _batches(of_symbol)] for index, of_symbol in enumerate(entries)
    )
    small = sum(entry.rows or 0 for of_symbol in entries for entry in of_symbol) < SMALL_ROWS
    parts: list[list[Part]] = [[] for _ in works]
    for index, result in fold_chains(chains, step, small=small, cancelled=report.cancelled, warn=report.warn):
        finished = entries[index][len(parts[index]) : len(parts[index]) + len(result.parts)]
        parts[index] += result.parts
        done += len(finished)
        rows += sum(entry.rows or 0 for entry in finished)
        report.progress(done, total, rows, f"{works[index].symbol} {finished[-1].facts['day']}")
    return parts


def _manifest(
    call: StageCall, request: BarsRequest, source: Manifest, works: list[Work], parts: list[list[Part]]
) -> Manifest:
    symbols = {
        work.symbol: _symbol_facts(work, _entries(source, work.symbol), of_symbol)
        for work, of_symbol in zip(works, parts, strict=True)
    }
    files = sorted((entry for of_symbol in parts for part in of_symbol for entry in part.files), key=lambda e: e.name)
    return Manifest(
        id=call.artifact_id,
        stage=STAGE,
        version=VERSION,
        request=call.request,
        inputs=call.inputs,
        files=tuple(files),
        facts={"kind": request.spec.kind, "symbols": symbols, "quality": source.facts["quality"]},
    )


def _symbol_facts(work: Work, entries: list[FileEntry], parts: list[Part]) -> dict[str, Any]:
    sums = _added([part.facts["sums"] for part in parts])
    if work.step:
        partial = parts[-1].facts["partial"]
        residual = _added([part.facts["residual"] for part in parts])
        facts: dict[str, Any] = {"incomplete": sum(part.facts["incomplete"] for part in parts)}
    else:
        partial = State.from_json(parts[-1].facts["state"]).open_bar()
        residual = {name: partial[name] if partial else 0 for name in SUMS}
        guards = _added([part.facts["guards"] for part in parts])
        facts = {"guards": guards} if guards else {}
    texts, left = _texts(sums, work.scales), _texts(residual, work.scales)
    _check_conserved(work, entries, _added([sums, residual]))
    files = [entry for part in parts for entry in part.files]
    facts |= {"n_bars": sum(entry.rows or 0 for entry in files), **texts, "residual": left, **work.scales}
    facts["partial"] = None if partial is None else {**_texts(partial, work.scales), "is_partial": True}
    if files:
        facts |= {"first_ts": files[0].facts["first_ts"], "last_ts": files[-1].facts["last_ts"]}
    return facts


def _check_conserved(work: Work, entries: list[FileEntry], sums: dict[str, int]) -> None:
    """Hold the sums over bars and the open bar against what the download stage added up over the trades."""
    for name, theirs in (("volume", "volume" if work.step else "quantity"), ("notional", "notional")):
        if name not in sums:
            continue
        with localcontext(prec=200):
            expected = sum((Decimal(entry.facts[theirs]) for entry in entries), Decimal(0))
        found = Decimal(_texts({name: sums[name]}, work.scales)[name])
        if found != expected:
            raise NotConserved(work.symbol, name, str(expected), str(found))


def _added(rows: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            total[name] = total.get(name, 0) + value
    return total


def _texts(values: dict[str, int], scales: dict[str, int]) -> dict[str, Any]:
    """Return decimals as exact text, other integers as they are."""
    kinds = {"volume": "quantity_scale", "buy_volume": "quantity_scale"}
    kinds |= {"notional": "notional_scale", "buy_notional": "notional_scale"}
    kinds |= dict.fromkeys(("open", "high", "low", "close"), "price_scale")
    with localcontext(prec=200):
        return {
            name: format(Decimal(value).scaleb(-scales[kinds[name]]).normalize(), "f") if name in kinds else value
            for name, value in values.items()
        }
