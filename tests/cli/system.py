"""A small system of real processes to supervise: tiny servers that do what the parts do when all goes well or badly."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from cli.parts import Part, Plan, Port
from cli.probes import http_probe
from cli.process import MARK
from tickloom.settings import Settings

SERVER = """
import http.server, os, subprocess, sys
children = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) for _ in range(int(sys.argv[2]))]
print("serving", flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def server(name: str, port: int, *, children: int = 0, needs: tuple[str, ...] = (), layer: int = 0) -> Part:
    """A part that serves its pid on `port` and has some children."""
    command = [sys.executable, "-c", SERVER, str(port), str(children)]
    ports = (Port(port, f"TICKLOOM_{name.upper()}_PORT"),)
    return Part(name, lambda: command, http_probe(port), ports, needs, layer=layer, grace_s=1.0)


def failing(name: str, port: int) -> Part:
    """A part that says why and dies at once."""
    command = [sys.executable, "-c", "import sys; sys.exit('no such table: runs')"]
    return Part(name, lambda: command, http_probe(port))


@dataclass
class FakePlan:
    """A plan maker for `Supervisor(plan=...)`."""

    parts: list[Part]
    run: str = field(default="")

    def __call__(self, config: Settings, venue: str, scratch: Path, run: str) -> Plan:
        import os

        self.run = run
        return Plan(run, tuple(self.parts), dict(os.environ) | {MARK: run})
