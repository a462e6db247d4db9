"""`tickloom demo`: the whole pipeline on simulated archives, from nothing to a report, and a way on from there."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli import runfile
from cli.certificate import grade_line
from cli.output import console, number, print_json, table
from cli.supervisor import Supervisor
from tickloom.client import Client, Status
from tickloom.errors import BadRequest, InvalidRequest
from tickloom.progress import Bars
from tickloom.settings import settings

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "demo.yaml"
SHOWN = {
    "total_return": "rate", "buy_and_hold_return": "rate", "sharpe_ratio": "", "max_drawdown": "rate", "n_trades": "",
    "win_rate": "rate", "fees_paid": "",
}  # fmt: skip


class WrongVenue(BadRequest):
    """The running system does not have the simulator."""

    next_step = "stop it and run the demo alone, or restart it with `make up VENUE=sim`"

    def __str__(self) -> str:
        return f"the system that is up (pid {self.args[0]}) has the venue {self.args[1]}: the demo needs the simulator"


@dataclass
class Outcome:
    """What a demo run came to."""

    status: Status
    results: dict[str, Any]
    certificates: list[dict[str, Any]]
    report: Path
    seconds: float


def demo(*, as_json: bool) -> None:
    """Run the demo on the system that is up, or on one of its own. Raises RunFailed and what starting may raise."""
    if not CONFIG.is_file():
        raise InvalidRequest("config", f"{CONFIG} is missing: run the demo from a checkout of the repository")
    begun = time.monotonic()
    other = runfile.running(settings().home)
    if other is not None:
        if other.venue != "sim":
            raise WrongVenue(other.pid, other.venue)
        outcome = _pipeline(as_json=as_json)
    elif Client().alive():
        _say(f"using the system that answers at {Client().url}", as_json=as_json)
        outcome = _pipeline(as_json=as_json)
    else:
        outcome = _on_its_own(begun, as_json=as_json)
    _tell(outcome, time.monotonic() - begun, as_json=as_json)


def _on_its_own(begun: float, *, as_json: bool) -> Outcome:
    def announce(part: str, text: str) -> None:
        if (part, text) == ("supervisor", "ready"):
            _say(f"all parts are up after {time.monotonic() - begun:.1f} s", as_json=as_json)
        elif text != "is up":
            _say(f"{part} {text}", as_json=as_json)

    _say(
        "starting Redis, Ray, the exchange simulator, the services, the gateway, the worker and Flower", as_json=as_json
    )
    # The gateway alone can tell whether all is there already; where it is not, the worker starts once Ray is up.
    supervisor = Supervisor(settings(), "sim", announce=announce)
    try:
        outcome = supervisor.run(lambda: _pipeline(as_json=as_json), when=("gateway", "sim"))
    except KeyboardInterrupt:
        console(stderr=True).show_cursor()  # the bars had hidden it
        _say("\ninterrupted: everything is stopped; `make demo` goes on from here", as_json=as_json)
        raise
    assert outcome is not None
    return outcome


def _pipeline(*, as_json: bool) -> Outcome:
    """Submit the demo's pipeline, follow it, fetch the report."""
    with Client() as client:
        begun = time.monotonic()
        run = client.pipeline(CONFIG)
        if not run.created:
            _say("the same request was carried out before: nothing is computed again", as_json=as_json)
        if as_json:
            status = run.wait()
        else:
            with Bars() as bars:
                status = run.wait(progress=bars.show)
        report = run.report(settings().home.resolve() / "reports" / CONFIG.stem)
        return Outcome(status, run.results(), run.certificates(), report, time.monotonic() - begun)


def _tell(outcome: Outcome, seconds: float, *, as_json: bool) -> None:
    if as_json:
        found = {"task_id": outcome.status["task_id"], "report": str(outcome.report), "results": outcome.results}
        found["grades"] = {f"{one['symbol']} {one['month']}": one["grade"] for one in outcome.certificates}
        print_json(found | {"seconds": round(seconds, 2), "pipeline_seconds": round(outcome.seconds, 2)})
        return
    best = outcome.results["best"]
    rows = [["parameters", *(_parameters(chosen) for chosen in best.values())]]
    for name, kind in SHOWN.items():
        rows.append([name.replace("_", " "), *(number(chosen["metrics"][name], kind) for chosen in best.values())])
    title = f"best of {outcome.results['n_combos']} combinations by {outcome.results['objective']}"
    table(title, ["", *(f">{symbol}" for symbol in best)], rows)
    out = console()
    for symbol in best:
        grades = [str(record["grade"]) for record in outcome.certificates if record["symbol"] == symbol]
        out.print(grade_line(symbol, grades), markup=False, highlight=False)
    for warning in outcome.status["warnings"]:
        out.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    out.print(f"report  {outcome.report}", markup=False, highlight=False, soft_wrap=True)
    out.print(f"time    {outcome.seconds:.1f} s for the pipeline, {seconds:.1f} s in all", highlight=False)
    out.print("\nnext", style="bold")
    steps = [
        f"open {outcome.report}: it needs no server",
        "make demo               again: every artifact is found, nothing is computed twice",
        "make up VENUE=sim       keep the system up; then .venv/bin/tickloom run configs/demo.yaml --follow",
        "edit configs/demo.yaml  another fee recomputes the backtest, not the bars",
        "make up                 the same on real trades from the exchange",
    ]
    for step in steps:
        out.print(f"  {step}", markup=False, highlight=False, soft_wrap=True)


def _parameters(chosen: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in chosen["parameters"].items())


def _say(text: str, *, as_json: bool) -> None:
    if not as_json:
        print(text, file=sys.stderr)
