"""The stages themselves, from a download to fills and equity, over a lake of the caller's choice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from api_gateway.models import PipelineRequest
from services.backtest.adapters.trades import partitions_of
from services.backtest.remote import run_account_best, run_best
from services.bars.job import BarsJob
from services.features.job import FeaturesJob
from services.signals.job import SignalsJob
from tickloom.contracts.artifact import FileEntry, Manifest
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.bars import bars_of
from tickloom.contracts.base import Contract
from tickloom.contracts.events import StageCall
from tickloom.contracts.portfolio import PORTFOLIO
from tickloom.contracts.stages import VERSIONS
from tickloom.http import Job, Report
from tickloom.identity import artifact_id, digest
from tickloom.lake import Lake


@dataclass(frozen=True)
class Fills:
    """What the backtest stage published of one parameter set over one symbol, or over all on one account.

    trades  of an account of many symbols its fills
    more    of such an account its positions
    """

    symbol: str
    combo: int
    trades: FileEntry
    equity: FileEntry
    more: tuple[FileEntry, ...] = ()


@dataclass(frozen=True)
class Made:
    """What a run of the chain left in its lake: the manifests by stage, and the fills."""

    lake: Lake
    stages: dict[str, Manifest]
    fills: tuple[Fills, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is run: the stages asked for, and the parameter sets that are traded."""

    pipeline: PipelineRequest
    combos: tuple[int, ...]

    def bars_name(self) -> str | None:
        """Return which of several kinds of bars the features are made of."""
        return self.pipeline.features.bars if self.pipeline.features is not None else None


def run_chain(lake: Lake, download: Manifest, plan: Plan) -> Made:
    """Run every stage that the plan asks for. Raises what a stage raises; without a bar, nothing comes after the bars.

    The parts in the lake are taken as they are: to have them made anew, give an empty one.
    """
    jobs: dict[str, Job] = {"bars": BarsJob(lake), "features": FeaturesJob(lake), "signals": SignalsJob(lake)}
    made: dict[str, Manifest] = {}
    source = download
    for stage, request in plan.pipeline.chain():
        if stage not in jobs or (stage == "features" and not bars_of(source, plan.bars_name()).files):
            continue
        if stage == "signals" and "features" not in made:
            continue
        source = jobs[stage].run(stage_call(stage, request, source), Report())
        made[stage] = source
    return Made(lake, made, tuple(_fills(lake, made, plan)))


def stage_call(stage: str, request: Contract, source: Manifest) -> StageCall:
    """Return the call of a stage over one artifact."""
    body = request.canonical()
    made = artifact_id(stage, VERSIONS[stage], body, [source.id])
    return StageCall(artifact_id=made, request=body, inputs=(source.id,))


def _fills(lake: Lake, made: dict[str, Manifest], plan: Plan) -> Iterator[Fills]:
    """Trade the plan's parameter sets by the task that the backtest stage gives its best trial to."""
    request = plan.pipeline.backtest
    if request is None or "signals" not in made:
        return
    if request.portfolio is not None:
        yield from _account(lake, made, plan, request)
        return
    partitions = partitions_of(lake, made["features"]) if request.inside_bar != "guess" else {}
    for signals in made["signals"].files:
        symbol = signals.facts.get("symbol")
        features = made["features"].file(f"{symbol}.parquet") if symbol else None
        if features is None:
            continue
        for combo in _held(signals, plan.combos):
            key = digest(["probe", features.sha256, signals.sha256, combo, request.canonical()])
            args = (lake, key, str(symbol), features, signals, combo, request, partitions.get(str(symbol), ()))
            trades, equity = run_best(*args).files
            yield Fills(str(symbol), combo, trades, equity)


def _account(lake: Lake, made: dict[str, Manifest], plan: Plan, request: BacktestRequest) -> Iterator[Fills]:
    """Trade the plan's parameter sets, each on one account of all symbols that have bars."""
    files = [entry for entry in made["signals"].files if entry.facts.get("symbol")]
    for combo in plan.combos:
        signals = [entry for entry in files if _held(entry, [combo])]
        symbols = [str(entry.facts["symbol"]) for entry in signals]
        features = [entry for symbol in symbols if (entry := made["features"].file(f"{symbol}.parquet"))]
        if not symbols:
            continue
        hashes = [[entry.sha256 for entry in entries] for entries in (features, signals)]
        key = digest(["probe", PORTFOLIO, symbols, hashes, combo, request.canonical()])
        part = run_account_best(lake, key, symbols, features, signals, combo, request)
        by_name = {entry.name.split("/")[0]: entry for entry in part.files}
        yield Fills(PORTFOLIO, combo, by_name["fills"], by_name["equity"], (by_name["positions"],))


def _held(signals: FileEntry, combos: Sequence[int]) -> list[int]:
    first = int(signals.facts["first_combo"])
    return [combo for combo in combos if first <= combo < first + int(signals.facts["n_combos"])]
