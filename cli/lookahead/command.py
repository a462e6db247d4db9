"""`tickloom probe FILE`: find the data, run the probe with a bar, say what was found."""

import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from api_gateway import intake
from api_gateway.models import PipelineRequest
from cli import pipelines, runfile
from cli.lookahead.compare import Leak
from cli.lookahead.cuts import TURNED
from cli.lookahead.fixed import FILLS
from cli.lookahead.run import Finding, probe
from cli.output import FAILED, OK, console, duration, print_json
from cli.supervisor import Supervisor
from tickloom.client import Client
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.download import DownloadRequest
from tickloom.contracts.stages import VERSIONS
from tickloom.identity import artifact_id
from tickloom.lake import open_lake
from tickloom.ledger import ledger_url, migrate
from tickloom.progress import Bars
from tickloom.settings import settings

MEANINGS = {
    "bars": "a bar holds trades from after its ts_close, so whoever reads it at that time reads the future",
    "features": "the feature reads bars that close later, as shift(-1), a centred window or a mean of all data do",
    "signals": "the rule fires, or does not, by what happens later; its features do not, so it is the rule's doing",
    "fills": "the order was sent, sized or priced by what was known only after it",
    "equity": "the account is worth then what later prices make of it",
    "choices": "a trial was chosen by days that it is then judged on: labels overlap from the training into the test",
}


def run(
    files: Sequence[Path], *, cuts: int, seed: int, fills: int = FILLS, minutes: float = math.inf, as_json: bool
) -> int:
    """Probe the pipeline in the files and tell; return the exit code: a leak is a failure."""
    pipeline = pipelines.read(files)
    migrate(ledger_url())
    download = _found(pipeline.download) or _made(pipeline.download, as_json=as_json)
    finding = look(download, pipeline, cuts=cuts, seed=seed, fills=fills, minutes=minutes, as_json=as_json)
    if as_json:
        print_json(asdict(finding) | {"looks_ahead": bool(finding.leaks)})
    else:
        tell(finding)
    return FAILED if finding.leaks or finding.unsettled else OK


def _know_the_token_of_ray() -> None:
    """Let this process use the Ray head that a supervisor of the same home keeps up, if there is one."""
    home = settings().home.resolve()
    if not settings().ray_address and runfile.running(home) is not None and (home / "ray_token").is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN_PATH", str(home / "ray_token"))


def _resolved(pipeline: PipelineRequest) -> PipelineRequest:
    """Return the pipeline with what names files and packages here pinned to their bytes."""
    signals = intake.resolve(pipeline.signals, check=False) if pipeline.signals is not None else None
    return pipeline.model_copy(update={"signals": signals})


def _found(request: DownloadRequest) -> Manifest | None:
    """Return the download if the lake has it."""
    body = intake.resolve(request, check=False).canonical()
    return open_lake().find(artifact_id("download", VERSIONS["download"], body, []))


def _made(request: DownloadRequest, *, as_json: bool) -> Manifest:
    """Have the download made by the system that is up, or by one that is up for as long as it takes."""

    def submitted() -> Manifest:
        with Client() as client:
            task = client.submit("download", request.canonical())
            if as_json:
                task.wait()
            else:
                with Bars() as bars:
                    task.wait(progress=bars.show)
            return open_lake().manifest(task.artifact_id())

    if Client().alive():
        return submitted()
    if not as_json:
        print("the data are not in the lake: starting the system to fetch them", file=sys.stderr)
    venue = request.venue if request.venue in ("binance", "sim") else settings().venue
    made = Supervisor(settings(), venue).run(submitted, when=("gateway", "sim") if venue == "sim" else ("gateway",))
    assert made is not None
    return made


def look(
    download: Manifest,
    pipeline: PipelineRequest,
    *,
    cuts: int,
    seed: int,
    fills: int = FILLS,
    minutes: float = math.inf,
    as_json: bool,
) -> Finding:
    """Probe the pipeline over a download that the lake has, with an estimate and a bar unless `as_json`."""
    _know_the_token_of_ray()
    looking = partial(
        probe, open_lake(), download, _resolved(pipeline), cuts=cuts, seed=seed, fills=fills, minutes=minutes
    )
    if as_json:
        return looking()
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("probe"), BarColumn(), MofNCompleteColumn(), TextColumn("runs"), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bars:
        bar, begun = bars.add_task("probe", total=None), time.monotonic()

        def progress(done: int, total: int) -> None:
            if not done:
                bars.console.print(_expected(time.monotonic() - begun, total, minutes), highlight=False)
            bars.update(bar, completed=done, total=total)

        return looking(progress=progress)


def _expected(one_s: float, n_runs: int, minutes: float) -> str:
    """Return how long the runs will take at most, by the one over all the data; side by side they take less."""
    longest = min(one_s * n_runs, minutes * 60)
    return f"probe: one run took {duration(one_s)}; {n_runs} more, at most about {duration(longest)}"


def tell(finding: Finding) -> None:
    """Print what was found."""
    out = console()
    for text in lines(finding):
        out.print(text, markup=False, highlight=False, soft_wrap=True)


def lines(finding: Finding) -> list[str]:
    """Return what there is to say, a line each."""
    n_refused = len(finding.refused)
    refused = [f"{n_refused} runs were refused by a stage and tell nothing: {finding.refused[0]}"] if n_refused else []
    late = _warmup_lines(finding)
    if finding.left_out:
        refused.append(f"{finding.left_out} more runs were left out: the time was over")
    if finding.leaks:
        return [*_leak_lines(finding), *late, *refused]
    traded = (
        f"; fills are those of {len(finding.combos)} of {finding.n_combos} parameter sets" if finding.combos else ""
    )
    text = (
        f"No look-ahead found: {finding.cuts} cuts, {finding.runs} runs, {finding.rows:,} rows in {finding.columns:,} "
        f"columns of {', '.join(finding.stages)} ({', '.join(finding.symbols)}) are the same, bit for bit, whatever "
        f"came later{traded}."
    )
    settled = f"Features forget where the data began: {finding.starts} later beginnings." if finding.starts else ""
    walked = f"Walking forward chooses by the past alone: {finding.choices} choices." if finding.choices else ""
    return [text, *(late or [settled] * bool(settled)), *[walked] * bool(walked), *refused]


def _warmup_lines(finding: Finding) -> list[str]:
    if not finding.unsettled:
        return []
    first = finding.unsettled[0]
    return [
        f"WARM-UP too short in features, column {first.column} ({first.table}, row {first.row})",
        f"  at {_time(first.published)}",
        f"  all the data:  {first.whole}",
        f"  with data from {_time(first.cut.ts)} on:  {first.other}",
        "  means:   the feature depends on where the data begin, after as many bars as it says that it needs",
    ]


def _leak_lines(finding: Finding) -> list[str]:
    first = finding.leaks[0]
    others = dict.fromkeys(f"{leak.stage} {leak.column}" for leak in finding.leaks[1:])
    others.pop(f"{first.stage} {first.column}", None)
    rest = list(others)
    more = f" and {len(rest) - 10} more" if len(rest) > 10 else ""
    return [
        f"LOOK-AHEAD in {first.stage}, column {first.column} ({first.table}, row {first.row})",
        *_what(first),
        *([f"  also:    {', '.join(rest[:10])}{more}"] if rest else []),
        "  next:    correct that stage first: what comes after it inherits the leak",
    ]


def _what(leak: Leak) -> list[str]:
    if leak.column.endswith("_price"):
        return [
            f"  in the bar that closes at {_time(leak.published)}: a fill at {leak.whole}, in {leak.other}",
            "  means:   the market was never at that price: nobody could have had that fill",
        ]
    forms = {"": "no data", "reversed": "prices in reverse", TURNED: "other returns"}
    without = forms.get(leak.cut.poison, f"prices {leak.cut.poison}")
    return [
        f"  published at {_time(leak.published)}",
        f"  all the data:  {leak.whole}",
        f"  with {without} from {_time(leak.cut.ts)} on:  {leak.other}",
        f"  means:   {MEANINGS[leak.stage]}",
    ]


def _time(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f") + " UTC"
