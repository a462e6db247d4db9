"""`python -m exchange_sim`: run the simulator on one port, on loopback unless told otherwise."""

import argparse
import re
import socket
from pathlib import Path

import uvicorn

from exchange_sim.app import create_app
from exchange_sim.config import SimSettings
from tickloom.settings import settings as tickloom_settings


def _mount(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,31}", name):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FOLDER with a name of letters and digits")
    if not Path(folder).is_dir():
        raise argparse.ArgumentTypeError(f"{folder} is not a folder")
    return name, Path(folder)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    defaults = tickloom_settings()
    out = argparse.ArgumentParser("python -m exchange_sim", description="An exchange to practise on.")
    out.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    out.add_argument("--port", type=int, default=defaults.sim_port, help="port to listen on (default: %(default)s)")
    out.add_argument("--cache", type=Path, default=defaults.home / "sim", help="folder of finished archives")
    out.add_argument("--mount", type=_mount, action="append", default=[], metavar="NAME=FOLDER", help="real archives")
    out.add_argument("--quiet", action="store_true", help="no access log")
    return out


def main(arguments: list[str] | None = None) -> None:
    """Run until interrupted. Exits with 1 and a reason if the port is taken."""
    options = parser().parse_args(arguments)
    listener = socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except OSError as error:
        raise SystemExit(f"exchange_sim cannot listen on {options.host}:{options.port}: {error.strerror}") from None
    app = create_app(SimSettings(options.cache, dict(options.mount), options.quiet))
    config = uvicorn.Config(app, access_log=False, log_level="warning", timeout_graceful_shutdown=2)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
