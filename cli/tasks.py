"""Tasks and artifacts on the terminal."""

import json
import sys
from pathlib import Path
from typing import Any

from api_gateway.body import parse_yaml
from cli.output import console, duration, number, print_json, size, table
from tickloom.client import Client, Run, RunFailed, Status
from tickloom.contracts.stages import STAGES
from tickloom.errors import InvalidRequest
from tickloom.progress import Bars, left, note, rate


def read_request(stage: str, text: str) -> dict[str, Any]:
    """Return a stage's request from JSON text, or from the JSON or YAML file of that name. Raises InvalidRequest."""
    if stage not in STAGES:
        raise InvalidRequest("stage", f"{stage!r} is none of {', '.join(STAGES)}")
    try:
        body = json.loads(text) if text.lstrip().startswith("{") else parse_yaml(Path(text).read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidRequest("request", f"neither a JSON object nor a file that holds one: {error}") from None
    if not isinstance(body, dict):
        raise InvalidRequest("request", "must be an object of fields and values")
    return body


def submitted(run: Run, *, follow: bool, as_json: bool) -> None:
    """Tell of a task that was just accepted, and follow it if asked to. Raises RunFailed."""
    if follow:
        if not as_json:
            print(f"task {run.id}", file=sys.stderr)
        _follow(run, as_json=as_json)
        return
    if as_json:
        print_json({"task_id": run.id, "created": run.created, "status_url": f"/status/{run.id}"})
        return
    again = "" if run.created else " (an equal request was accepted before)"
    print(f"task {run.id}{again}\nfollow it: tickloom status {run.id} --follow")


def show_estimate(estimate: dict[str, Any], *, as_json: bool) -> None:
    """Print what a submission would come to."""
    if as_json:
        print_json(estimate)
        return
    rows, told = [], ""
    for one in estimate["stages"]:
        rows.append(_costs(one["stage"], one, "as above" if one["how"] == told else one["how"]))
        told = "" if one.get("cached") else one["how"]
    left_out = f"without {', '.join(estimate['unknown'])}, not known" if estimate["unknown"] else ""
    rows.append(_costs("all", estimate, left_out))
    table("", ["stage", ">rows", ">trials", ">memory", ">time", "how the rows are known"], rows)
    console().print(estimate["how"], markup=False, highlight=False)


def _costs(name: str, costs: dict[str, Any], how: str) -> list[str]:
    """Return a line of an estimate: what is expected, and the bounds."""
    if costs.get("cached"):
        return [name, "", "", "", "", "found, nothing to do"]
    rows, memory, seconds = costs["rows"], costs["memory_bytes"], costs["seconds"]
    counted = "?" if rows is None else number(rows["expected"])
    if rows is not None and rows["low"] != rows["high"]:
        counted += f" ({number(rows['low'])} to {number(rows['high'])})"
    return [
        *(name, counted, number(costs["trials"]) if costs["trials"] else ""),
        "?" if memory is None else f"{size(memory['expected'])} (to {size(memory['high'])})",
        "?" if seconds is None else _time(seconds),
        how,
    ]


def _time(seconds: dict[str, float]) -> str:
    low, expected, high = (duration(seconds[bound]) for bound in ("low", "expected", "high"))
    return f"{expected} ({low} to {high})"


def follow(run: Run, *, as_json: bool) -> None:
    """Show a task's progress until it ends. Raises RunFailed."""
    _follow(run, as_json=as_json)


def _follow(run: Run, *, as_json: bool) -> None:
    try:
        if as_json:
            status = run.wait()
        else:
            with Bars() as bars:
                status = run.wait(progress=bars.show)
    except RunFailed as failed:
        if as_json:
            print_json(failed.task)
        raise
    if as_json:
        print_json(status)
        return
    for warning in status["warnings"]:
        console(stderr=True).print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    print(f"task {run.id} is {status['state']}; artifact {status['artifact_id']}")


def recheck(client: Client, id: str, *, everything: bool, limit: int, follow: bool, as_json: bool) -> None:
    """Have archives compared with what the exchange serves now. Raises RunFailed, InvalidRequest."""
    if everything == bool(id):
        raise InvalidRequest("id", "name a task or an artifact, or say --all")
    if everything:
        started = client.recheck_all(limit)
    else:
        started = [client.recheck(id if len(id) == 64 else client.run(id).artifact_id())]
    if follow:
        for run in started:
            _follow(run, as_json=as_json)
            if not as_json:
                facts = client.artifact(run.artifact_id())["manifest"]["facts"]
                print(f"{facts['archives']:,} archives compared: {len(facts['changed']):,} are other ones now")
        return
    if as_json:
        print_json([{"task_id": run.id, "created": run.created, "status_url": f"/status/{run.id}"} for run in started])
        return
    for run in started:
        print(f"task {run.id}" + ("" if run.created else " (it was under way)"))
    print("what has changed will be marked stale; see it: tickloom ls")


def show_task(status: Status, *, as_json: bool) -> None:
    """Print a task and its stages."""
    if as_json:
        print_json(status)
        return
    out = console()
    head = f"{status['kind']} {status['name']}".strip()
    out.print(f"{status['task_id']}  {status['state']}  {head}", markup=False, highlight=False)
    rows = [
        [
            *(stage["stage"], stage["state"], f"{stage['progress']:.0%}", rate(stage["rows_per_s"])),
            *(left(stage.get("seconds_left")), note(stage), stage["artifact_id"]),
        ]
        for stage in status["stages"]
    ]
    table("", ["stage", "state", ">done", ">rate", ">left", "note", "artifact"], rows)
    for warning in status["warnings"]:
        out.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    if error := status["error"]:
        out.print(f"error: {error.get('detail')}", markup=False, highlight=False, soft_wrap=True)
        out.print(f"next:  {error.get('next')}", markup=False, highlight=False, soft_wrap=True)


def show_list(tasks: list[Status], *, as_json: bool) -> None:
    """Print tasks, newest first."""
    if as_json:
        print_json(tasks)
        return
    rows = [
        [
            *(task["task_id"], task["state"] + (", stale" if task.get("stale") else ""), f"{task['progress']:.0%}"),
            task["created"][5:16].replace("T", " "),
            f"{task['kind']} {task['name']}".strip(),
        ]
        for task in tasks
    ]
    table("", ["task", "state", ">done", "created, UTC", "what"], rows)


def show_artifact(view: dict[str, Any], *, as_json: bool) -> None:
    """Print an artifact: its request, files, and what it was made from."""
    if as_json:
        print_json(view)
        return
    manifest = view["manifest"]
    out = console()
    out.print(f"{manifest['stage']} artifact {manifest['id']}", markup=False, highlight=False)
    if stale := view.get("stale"):
        out.print(f"stale: {stale['detail']}", markup=False, highlight=False, soft_wrap=True)
        out.print(f"next:  {stale['next']}", markup=False, highlight=False, soft_wrap=True)
    out.print(json.dumps(manifest["request"], ensure_ascii=False), markup=False, highlight=False, soft_wrap=True)
    rows = [
        [entry["name"], number(entry.get("rows")), size(entry["bytes"]), entry["sha256"][:16]]
        for entry in manifest["files"]
    ]
    table("files", ["name", ">rows", ">size", "sha256"], rows)
    made_from = [[step["stage"], step["id"], number(step["rows"]), size(step["bytes"])] for step in view["lineage"]]
    if made_from:
        table("made from", ["stage", "artifact", ">rows", ">size"], made_from)
