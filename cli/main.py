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
    file: Annotated[Path, typer.Argument(help="A pipeline as YAML or JSON, as in configs/.", show_default=False)],
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """Submit a whole pipeline."""
    from cli import tasks

    tasks.submitted(client().pipeline(file), follow=follow, as_json=as_json)


@app.command()
def submit(
    stage: Annotated[str, typer.Argument(help="download, bars, features, signals, backtest or viz.")],
    request: Annotated[str, typer.Argument(help="The request: JSON, or the path of a JSON or YAML file.")] = "{}",
    source: Annotated[str, typer.Option("--input", "-i", help="The task or artifact that it works on.")] = "",
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """Submit one stage."""
    from cli import tasks

    body = tasks.read_request(stage, request)
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
def cancel(id: Annotated[str, typer.Argument(help="A task.")], as_json: Json = False) -> None:
    """Revoke a task for good. What it finished before stays for others."""
    task = client().cancel(id)
    if as_json:
        print_json(task)
    else:
        print(f"task {id} is {task['state']}")


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
