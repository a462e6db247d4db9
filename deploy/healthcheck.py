"""Is the part in this container well? Exit 0 for yes, 1 for no.

healthcheck.py http PORT [PATH]    answers 200 (or asks for a password, which only a living server does)
healthcheck.py ray-head            the head lists at least one node that takes work
healthcheck.py ray-worker          the raylet runs
healthcheck.py worker              the Celery worker answers a ping through the broker
"""

import os
import socket
import sys
from pathlib import Path

import psutil

from cli.probes import http_probe, ray_probe, worker_probe
from tickloom.settings import settings


def healthy(kind: str, *arguments: str) -> bool:
    """Return whether the part of this kind is well."""
    if kind == "http":
        return http_probe(int(arguments[0]), *arguments[1:2], statuses=(200, 302, 401))()
    if kind == "ray-head":
        return ray_probe(settings().ray_dashboard_port, Path(os.environ["RAY_AUTH_TOKEN_PATH"]))()
    if kind == "ray-worker":
        return any(process.name() == "raylet" for process in psutil.process_iter())
    if kind == "worker":
        return worker_probe(settings().broker(), f"worker@{socket.gethostname()}")()
    raise SystemExit(__doc__)


if __name__ == "__main__":
    sys.exit(not healthy(*sys.argv[1:]))
