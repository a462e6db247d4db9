"""`tickloom up`: start everything and stay, and `tickloom status`: which parts are up."""

import time
from typing import Any

from cli import runfile
from cli.output import OK, UNREACHABLE, console, print_json, table
from cli.supervisor import Supervisor
from tickloom.client import Client
from tickloom.settings import Settings, settings


def up(venue: str, *, as_json: bool) -> None:
    """Keep the system up until a signal comes. Raises AlreadyRunning, PortBusy, PartFailed."""
    config, begun = settings(), time.monotonic()
    out = console()

    def announce(part: str, text: str) -> None:
        if as_json:
            print_json({"part": part, "event": text, "home": str(config.home.resolve())})
        elif (part, text) == ("supervisor", "ready"):
            out.print(f"all parts are up after {time.monotonic() - begun:.1f} s", highlight=False)
            welcome(config)
        else:
            out.print(f"[dim]{time.monotonic() - begun:6.1f} s[/]  [bold]{part:<10}[/]  {text}", highlight=False)

    Supervisor(config, venue, announce=announce).run()
    if not as_json:
        out.print("stopped")


def welcome(config: Settings) -> None:
    """Print where everything is, and how to get into Ray's dashboard."""
    gateway = config.gateway().replace("127.0.0.1", "localhost")
    rows = [
        ["tasks and reports", gateway],
        ["every call, with examples", f"{gateway}/docs"],
        ["Celery's tasks (Flower)", f"http://localhost:{config.flower_port}"],
    ]
    if not config.ray_address:
        rows.append(["Ray's dashboard", f"http://localhost:{config.ray_dashboard_port}"])
    rows.append(["logs", str(config.home.resolve() / "logs")])
    table("", ["what", "where"], rows)
    if not config.ray_address:
        token = config.home.resolve() / "ray_token"
        console().print(f"Ray's dashboard asks once for a token: paste the line in {token}", highlight=False)
    console().print("Ctrl-C stops everything")


def show_parts(*, as_json: bool) -> int:
    """Print which parts are up; return the exit code: 3 when the gateway, or any part, does not answer."""
    client = Client()
    run = runfile.running(settings().home)
    alive = client.alive()
    answering = client.parts() if alive else {}
    supervised: dict[str, Any] = run.parts if run else {}
    ready = alive and all(answering.values())
    if as_json:
        supervisor = {"pid": run.pid, "state": run.state, "venue": run.venue} if run else None
        found = {"gateway": client.url, "ready": ready, "answering": answering, "supervisor": supervisor}
        print_json(found | {"parts": supervised})
        return OK if ready else UNREACHABLE
    if supervised:
        rows = [
            [name, part["state"], str(part["pid"] or ""), str(part["restarts"]), part["url"]]
            for name, part in supervised.items()
        ]
        table("", ["part", "state", ">pid", ">restarts", "address"], rows)
    if not alive:
        console().print(f"no gateway answers at {client.url}: start it with `tickloom up`", highlight=False)
    else:
        down = sorted(name for name, answers in answering.items() if not answers)
        text = f"these do not answer it: {', '.join(down)}" if down else "it reaches every part"
        console().print(f"the gateway at {client.url} is up; {text}", highlight=False)
    return OK if ready else UNREACHABLE
