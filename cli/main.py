"""The `tickloom` command: parse, call, print. What a command needs is imported when it runs, so that help is quick."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.output import EXIT_CODES, INTERRUPTED, exit_code, print_error, print_json
from tickloom.errors import TickloomError

if TYPE_CHECKING:
    from tickloom.client import Client

app = typer.Typer(
    help=f"Backtesting from raw exchange ticks: exact, reproducible to the bit.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show the progress until it ends.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell the rows, trials, memory and time it would take.")]
Pipeline = Annotated[
    list[Path],
    typer.Argument(
        help="A pipeline as YAML or JSON, as in configs/. Of several files the later replace sections of the earlier.",
        show_default=False,
    ),
]
Venue = Literal["binance", "sim"]


def main() -> None:
    """Run the command line; end with a code that means something."""
    try:
        app(prog_name="tickloom")
    except TickloomError as error:
        print_error(error, as_json="--json" in sys.argv)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def client() -> "Client":
    """Return a client of the gateway that the settings name: patient where a supervisor will bring it back."""
    from cli import runfile
    from tickloom.client import Client
    from tickloom.settings import settings

    return Client(patience_s=20 if runfile.running(settings().home) else 1)


@app.command()
def up(
    venue: Annotated[Venue | None, typer.Option(help="Where downloads come from. Default: TICKLOOM_VENUE.")] = None,
    as_json: Json = False,
) -> None:
    """Start every part on this machine and keep it up. Ctrl-C stops it."""
    from cli.up import up

    up(venue or "", as_json=as_json)


@app.command()
def demo(as_json: Json = False) -> None:
    """Run the whole pipeline on simulated archives and draw the report."""
    from cli.demo import demo

    demo(as_json=as_json)


@app.command()
def run(
    files: Pipeline,
    follow: Follow = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Submit a whole pipeline. With `probe` in it, wait to its end, look for look-ahead, then draw the report."""
    from cli import pipelines, probed, tasks

    body = pipelines.sections(files)
    if dry_run:
        body.pop("probe", None)
        tasks.show_estimate(client().estimate(body), as_json=as_json)
        return
    if "probe" in body:
        raise typer.Exit(probed.run(client(), body, as_json=as_json))
    source = files[0] if len(files) == 1 else body  # as it stands, so that the gateway can say where it is wrong
    tasks.submitted(client().pipeline(source), follow=follow, as_json=as_json)


@app.command()
def submit(
    stage: Annotated[str, typer.Argument(help="download, bars, features, signals, backtest or viz.")],
    request: Annotated[str, typer.Argument(help="The request: JSON, or the path of a JSON or YAML file.")] = "{}",
    source: Annotated[str, typer.Option("--input", "-i", help="The task or artifact that it works on.")] = "",
    follow: Follow = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Submit one stage."""
    from cli import tasks

    body = tasks.read_request(stage, request)
    if dry_run:
        tasks.show_estimate(client().estimate(body, stage=stage, input=source), as_json=as_json)
        return
    tasks.submitted(client().submit(stage, body, input=source), follow=follow, as_json=as_json)


@app.command()
def status(
    id: Annotated[str, typer.Argument(help="A task. Without one: which parts are up.")] = "",
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """Show how far a task is, or which parts are up."""
    from cli import tasks
    from cli.up import show_parts

    if not id:
        raise typer.Exit(show_parts(as_json=as_json))
    task = client().run(id)
    if follow:
        tasks.follow(task, as_json=as_json)
    else:
        tasks.show_task(task.status(), as_json=as_json)


@app.command()
def ls(
    state: Annotated[str, typer.Option(help="PENDING, STARTED, RETRY, SUCCESS, FAILURE or REVOKED.")] = "",
    kind: Annotated[str, typer.Option(help="A stage, or pipeline.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List tasks."""
    from cli import tasks

    tasks.show_list(client().tasks(state=state.upper(), kind=kind, limit=limit), as_json=as_json)


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="A task (32 digits) or an artifact (64).")], as_json: Json = False
) -> None:
    """Show an artifact with its lineage, or a task."""
    from cli import tasks

    if len(id) == 64:
        tasks.show_artifact(client().artifact(id), as_json=as_json)
    else:
        tasks.show_task(client().status(id), as_json=as_json)


@app.command()
def certificate(
    id: Annotated[str, typer.Argument(help="A task or an artifact, of any stage.")], as_json: Json = False
) -> None:
    """Show how good the data behind a result are, in grades from A to F."""
    from cli.certificate import show

    show(client().certificates(id), as_json=as_json)


@app.command()
def cancel(id: Annotated[str, typer.Argument(help="A task.")], as_json: Json = False) -> None:
    """Revoke a task for good. What it finished before stays for others."""
    task = client().cancel(id)
    if as_json:
        print_json(task)
    else:
        print(f"task {id} is {task['state']}")


@app.command()
def recheck(
    id: Annotated[str, typer.Argument(help="A task (32 digits) or an artifact (64).")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Every download that is not stale.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="With --all: how many at most.")] = 100,
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """Ask the exchange whether the archives behind a result are still the same; if not, it is marked stale."""
    from cli import tasks

    tasks.recheck(client(), id, everything=everything, limit=limit, follow=follow, as_json=as_json)


@app.command()
def probe(
    files: Pipeline,
    cuts: Annotated[
        int, typer.Option(help="Moments that are drawn, two runs each; some are always cut.", min=1, max=1000)
    ] = 12,
    seed: Annotated[int, typer.Option(help="The same seed, the same cuts.", min=0)] = 0,
    fills: Annotated[
        int, typer.Option(help="Opens with a fill right after which to cut always, spread over all.", min=2, max=10_000)
    ] = 4,
    minutes: Annotated[
        float, typer.Option(help="Begin no further run after that; the drawn cuts come last.", min=0.0)
    ] = float("inf"),
    as_json: Json = False,
) -> None:
    """Look for look-ahead: run the stages again on data that are cut, and compare all that was known by then."""
    from cli.lookahead.command import run

    raise typer.Exit(run(files, cuts=cuts, seed=seed, fills=fills, minutes=minutes, as_json=as_json))


@app.command()
def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Remove what is damaged, so that it is made anew.")] = False,
    as_json: Json = False,
) -> None:
    """Hash every object of the lake again; report what is damaged or missing."""
    from cli.keeping import verify

    raise typer.Exit(verify(repair=repair, as_json=as_json))


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be removed.")] = False,
    as_json: Json = False,
) -> None:
    """Remove from the lake what no artifact needs any more."""
    from cli.keeping import gc

    gc(dry_run=dry_run, as_json=as_json)


if __name__ == "__main__":
    main()
