"""A run with the look-ahead detector in it: the chain, the probe over its data, the report with its verdict."""

import json
import sys
from typing import Any

from pydantic import ValidationError

from api_gateway.models import PipelineRequest
from cli.lookahead.command import look, tell
from cli.lookahead.run import Finding, check
from cli.output import FAILED, OK, print_json
from tickloom.client import Client, Run
from tickloom.contracts.probe import ProbeLeak, ProbeRequest, ProbeVerdict
from tickloom.errors import InvalidRequest
from tickloom.lake import open_lake
from tickloom.progress import Bars

LONGEST = 300
"""Characters of a value that the report shows."""


def run(client: Client, body: dict[str, Any], *, as_json: bool) -> int:
    """Run the sections of a pipeline, `probe` among them, to their end, and tell; return the exit code.

    The report is drawn after the probe, and says what it said. Raises InvalidRequest, RunFailed, and what the probe
    raises: the lake has to be within reach of the command.
    """
    asked, pipeline = _checked(body)
    chain = {name: section for name, section in body.items() if name not in ("probe", "viz")}
    done = _followed(client.pipeline(chain), as_json=as_json)
    download = open_lake().manifest(done.artifact_id("download"))
    finding = look(download, pipeline, cuts=asked.cuts, seed=asked.seed, as_json=as_json)
    verdict = verdict_of(finding, asked.seed)
    report = None
    if pipeline.viz is not None:
        wanted = {**body["viz"], "probe": verdict.canonical()}
        report = _followed(client.submit("viz", wanted, input=done.artifact_id()), as_json=as_json)
    if as_json:
        print_json({"task_id": done.id, "report_id": report and report.id, "probe": verdict.canonical()})
    else:
        tell(finding)
        print(f"task {(report or done).id} is SUCCESS; artifact {(report or done).artifact_id()}")
    if verdict.leak is None:
        return OK
    if asked.on_leak == "fail":
        return FAILED
    print("warning: the probe found a fault, and `on_leak: warn` asks to go on", file=sys.stderr)
    return OK


def _checked(body: dict[str, Any]) -> tuple[ProbeRequest, PipelineRequest]:
    """Return both parts of what was asked, before anything is run. Raises InvalidRequest."""
    rest = {name: section for name, section in body.items() if name != "probe"}
    try:
        asked = ProbeRequest.model_validate_json(json.dumps(body["probe"] or {}, allow_nan=False))
    except (ValidationError, TypeError, ValueError) as error:
        raise InvalidRequest("probe", _first(error)) from None
    try:
        pipeline = PipelineRequest.model_validate_json(json.dumps(rest, allow_nan=False))
    except (ValidationError, TypeError, ValueError) as error:
        raise InvalidRequest("pipeline", _first(error)) from None
    check(pipeline)
    return asked, pipeline


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _followed(run: Run, *, as_json: bool) -> Run:
    """Wait for a task, with its progress unless `as_json`. Raises RunFailed."""
    if as_json:
        run.wait()
        return run
    print(f"task {run.id}", file=sys.stderr)
    with Bars() as bars:
        run.wait(progress=bars.show)
    return run


def verdict_of(finding: Finding, seed: int) -> ProbeVerdict:
    """Return what was found in the words of the report."""
    leak = None
    for first in (*finding.leaks, *finding.unsettled)[:1]:
        texts = {name: getattr(first, name)[:LONGEST] for name in ("stage", "table", "column", "whole", "other")}
        kind = "look_ahead" if finding.leaks else "warm_up"
        leak = ProbeLeak.model_validate({**texts, "kind": kind, "published": first.published})
    return ProbeVerdict(
        cuts=finding.cuts, seed=seed, runs=finding.runs, refused=len(finding.refused), rows=finding.rows,
        columns=finding.columns, symbols=finding.symbols, n_traded=len(finding.combos), n_combos=finding.n_combos,
        leak=leak,
    )  # fmt: skip
