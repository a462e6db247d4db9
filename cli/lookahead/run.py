"""The probe: a whole run, and beside it a run for each cut and form, each in a lake of its own."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from api_gateway.models import PipelineRequest
from cli.lookahead.account import is_shared, opens_of
from cli.lookahead.chain import Made, Plan, run_chain
from cli.lookahead.choices import walked
from cli.lookahead.compare import STAGES, Compared, Leak, compare, events_of
from cli.lookahead.cuts import POISONS, Cut, Times, cut_download, cut_times, step_of
from cli.lookahead.fixed import FILLS, fixed_cuts
from cli.lookahead.reached import unreached
from cli.lookahead.warmup import late_starts, unsettled
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.bars import bars_of
from tickloom.errors import InvalidRequest, TickloomError
from tickloom.fanout import Task, inline, map_unordered
from tickloom.kernel import I64
from tickloom.lake import Lake
from tickloom.lake.store import FolderStore

STARTS = 2
"""How often the features are made again of bars that begin later."""
TRADED = 4
"""Parameter sets whose fills are compared; signals are compared of all."""
SMALL_ROWS = 500_000
"""Trades or klines times runs below which processes cost more than they bring."""


@dataclass(frozen=True)
class Work:
    """What does not change from one cut to the next."""

    source: Lake
    download: Manifest
    plan: Plan
    whole: Made
    firsts: Mapping[str, I64]
    folder: Path


@dataclass(frozen=True)
class Finding:
    """What a probe found: leaks by stage and time, and all that was compared.

    unsettled  features that depend on where the data begin after their warm-up, over `starts` later beginnings
    choices    of walking forward that were asked again
    left_out   runs that were not begun, for the time was over
    """

    leaks: tuple[Leak, ...]
    cuts: int
    runs: int
    rows: int
    columns: int
    symbols: tuple[str, ...]
    stages: tuple[str, ...]
    combos: tuple[int, ...]
    n_combos: int
    refused: tuple[str, ...]
    starts: int = 0
    unsettled: tuple[Leak, ...] = ()
    choices: int = 0
    left_out: int = 0


def probe(
    source: Lake,
    download: Manifest,
    pipeline: PipelineRequest,
    *,
    cuts: int,
    seed: int,
    fills: int = FILLS,
    minutes: float = math.inf,
    progress: Callable[[int, int], None] = lambda _, __: None,
    warn: Callable[[str], None] = lambda _: None,
) -> Finding:
    """Run the pipeline's stages over a download, whole and with cuts, and compare. Nothing is left behind.

    cuts     moments that are drawn, beside those that are always cut
    fills    opens with a fill at most right after which to cut always
    minutes  after which no further run is begun; those that are drawn come last

    Raises InvalidRequest for what cannot be probed, and what a stage raises over data that are true.
    """
    check(pipeline)
    n_combos = pipeline.signals.n_combinations() if pipeline.signals is not None else 0
    chosen = np.random.default_rng(seed).permutation(n_combos)[:TRADED]
    plan, begun = Plan(pipeline, tuple(sorted(chosen.tolist()))), time.monotonic()
    with source.scratch() as folder:
        lake = Lake(str(folder / "whole"))
        last = max(facts["last_ts"] for facts in download.facts["symbols"].values()) + step_of(download)
        whole = run_chain(lake, cut_download(source, download, Cut(last + 1), lake), plan)
        times = _times(source, download, whole, plan)
        forms = _forms(cuts, seed, fills, list(times.values()))
        work = Work(source, download, plan, whole, {symbol: of.first for symbol, of in times.items()}, folder)
        found = _made(work, forms, begun + 60 * minutes, progress, warn)
        starts = late_starts(whole, seed, STARTS)
        late = [leak for share in starts for leak in unsettled(whole, plan, share, folder)]
        first = {(leak.table, leak.column): leak for leak in reversed(late)}
        choices = walked(whole)
        finding = _finding(plan, whole, found, [*unreached(whole)], choices.leaks)
        return replace(
            finding,
            starts=len(starts),
            unsettled=tuple(reversed(first.values())),
            choices=choices.n_choices,
            left_out=len(forms) - len(found),
        )


def _made(
    work: Work, forms: Sequence[Cut], until: float, progress: Callable[[int, int], None], warn: Callable[[str], None]
) -> dict[Cut, Compared]:
    """Return what the runs with these cuts came to, those that were begun in time."""
    small = not isinstance(work.source.store, FolderStore) or _rows(work.download) * len(forms) < SMALL_ROWS
    tasks = [Task(f"probe {cut.day()} {cut.poison or 'cut'}", run_cut, (work, cut)) for cut in forms]
    found: dict[Cut, Compared] = {}
    progress(0, len(forms))
    for index, compared in map_unordered(_in_time(tasks, until), small=small, warn=warn):
        found[forms[index]] = compared
        progress(len(found), len(forms))
    return found


def _in_time(tasks: Iterable[Task[Compared]], until: float) -> Iterator[Task[Compared]]:
    """Yield the first task, and further ones until then, in seconds of the monotonic clock."""
    for k, task in enumerate(tasks):
        if k and time.monotonic() > until:
            return
        yield task


def run_cut(work: Work, cut: Cut) -> Compared:
    """Run the chain over the data with a cut, and compare. Plain Python, so tests need no Ray."""
    with inline(), TemporaryDirectory(dir=work.folder, prefix="cut-") as folder:
        lake = Lake(folder)
        download = cut_download(work.source, work.download, cut, lake)
        try:
            made = run_chain(lake, download, work.plan) if download.files else Made(lake, {})
        except TickloomError as error:
            return Compared(refused=str(error))
        backtest = work.plan.pipeline.backtest
        at_opens = backtest is not None and backtest.impact is None
        return compare(work.whole, made, work.firsts, cut, at_opens=at_opens)


def check(pipeline: PipelineRequest) -> None:
    """Raise InvalidRequest for what cannot be probed."""
    if pipeline.bars is None:
        raise InvalidRequest("bars", "there is nothing to probe without a stage that computes: add bars")


def _forms(n: int, seed: int, fills: int, symbols: Sequence[Times]) -> list[Cut]:
    """Return the cuts that are always made, then those that are drawn, each with one poison by turns.

    The drawn ones are in no order of time, so that those that there is time for are spread over all of it.
    """
    moments = np.random.default_rng([seed, 2]).permutation(cut_times(n, seed, symbols)).tolist()
    drawn = [Cut(ts, poison) for k, ts in enumerate(moments) for poison in ("", POISONS[(seed + k) % len(POISONS)])]
    return list(dict.fromkeys([*fixed_cuts(symbols, fills), *drawn]))


def _rows(download: Manifest) -> int:
    return sum(int(facts["rows"]) for facts in download.facts["symbols"].values())


def _times(source: Lake, download: Manifest, whole: Made, plan: Plan) -> dict[str, Times]:
    """Return when each symbol's bars begin and close, of the bars that are traded, and where fills are."""
    bars = whole.stages["bars"]
    name = plan.bars_name() or next(iter(sorted(bars.facts.get("bars", ()))), None)
    chosen, times, step = bars_of(bars, name), {}, step_of(download)
    for symbol in download.facts["symbols"]:
        begins, at, known = ("ts_open", "ts_open", "ts_close") if step else ("first_trade_id", "trade_id", "ts")
        made = [whole.lake.read_table(e, [begins, "ts_close"]) for e in chosen.under(f"{symbol}/")]
        if not made:
            continue
        first, close = _columns(made, begins, "ts_close")
        given = [source.read_table(e, [at, known]) for e in download.under(f"{symbol}/")]
        ids, ts = _columns(given, at, known)
        opens = opens_of(whole, symbol) if is_shared(whole) else _opens(whole, symbol)
        begun, entered = np.searchsorted(ids, first), np.array(opens, np.int64)
        warmup, none = _warmup(whole, symbol), np.empty(0, np.int64)
        times[symbol] = Times((ids if step else ts)[begun], close, entered, ts if step else none, warmup)
    return times


def _opens(whole: Made, symbol: str) -> list[int]:
    """Return the bars at whose opens any of the symbol's accounts has a fill, rising."""
    opens: set[int] = set()
    for fills in whole.fills:
        if fills.symbol == symbol:
            events = events_of(whole, symbol, fills.trades)
            opens.update(events.filter(events["at_open"])["bar"].to_pylist())
    return sorted(opens)


def _warmup(whole: Made, symbol: str) -> tuple[int, ...]:
    """Return the different numbers of rows that a symbol's features wait for, rising."""
    entry = whole.stages["features"].file(f"{symbol}.parquet") if "features" in whole.stages else None
    lengths = [entry.facts[name].values() for name in ("warmup", "settled")] if entry is not None else []
    return tuple(sorted({int(rows) for rows_of in lengths for rows in rows_of}))


def _columns(tables: Sequence[pa.Table], *names: str) -> list[I64]:
    """Return these columns, the tables one after the other."""
    return [np.concatenate([table[name].to_numpy() for table in tables]) for name in names]


def _finding(
    plan: Plan, whole: Made, by_cut: Mapping[Cut, Compared], unreached: Sequence[Leak], choices: Sequence[Leak]
) -> Finding:
    found = [by_cut[cut] for cut in sorted(by_cut, key=lambda cut: (cut.ts, cut.poison))]
    refused = tuple(compared.refused for compared in found if compared.refused)
    if len(refused) == len(found):
        raise InvalidRequest("download", f"no cut can be compared: {refused[0] if refused else 'no bar ever closes'}")
    leaks = [leak for compared in found for leak in compared.leaks] + [*unreached, *choices]
    leaks.sort(key=lambda leak: (STAGES.index(leak.stage), leak in unreached, leak.published, leak.table, leak.cut.ts))
    first: dict[tuple[str, str, str], Leak] = {}
    for leak in leaks:
        first.setdefault((leak.stage, leak.table, leak.column), leak)
    columns = {column for compared in found for column in compared.columns}
    return Finding(
        leaks=tuple(first.values()),
        cuts=len({cut.ts for cut in by_cut}),
        runs=len(found),
        rows=sum(compared.rows for compared in found),
        columns=len(columns),
        symbols=tuple(whole.stages["features"].facts["symbols"] if "features" in whole.stages else ()),
        stages=tuple(stage for stage in STAGES if any(column[0] == stage for column in columns)),
        combos=plan.combos,
        n_combos=plan.pipeline.signals.n_combinations() if plan.pipeline.signals is not None else 0,
        refused=refused,
    )
