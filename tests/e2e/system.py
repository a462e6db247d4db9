"""The whole product as its users start it: `tickloom up` in a home of its own, on ports of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from cli import runfile
from cli.process import kill_all, members
from tests.processes import free_port
from tickloom.client import Client

REPOSITORY = Path(__file__).resolve().parents[2]
PORTS = ("GATEWAY", "SERVICES", "REDIS", "RAY", "RAY_DASHBOARD", "FLOWER", "SIM")
ENDED = ("SUCCESS", "FAILURE", "REVOKED")
CLI = [sys.executable, "-c", "from cli.main import main; main()"]


@dataclass(frozen=True)
class System:
    """A running system and its public face."""

    home: Path
    ports: dict[str, int]
    environment: dict[str, str]
    http: httpx.Client
    client: Client

    @property
    def url(self) -> str:
        return f"http://localhost:{self.ports['GATEWAY']}"

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Submit work and return what was answered; it must be accepted."""
        answer = self.http.post(path, json=dict(body))
        assert answer.status_code == 202, answer.text
        return answer.json()

    def ended(self, task_id: str, within_s: float = 200) -> dict[str, Any]:
        """Return a task's status once it has ended."""
        give_up = time.monotonic() + within_s
        while True:
            answer = self.http.get(f"/status/{task_id}")
            assert answer.status_code == 200, answer.text
            status = answer.json()
            if status["state"] in ENDED:
                return status
            assert time.monotonic() < give_up, f"not over after {within_s} s: {status}"
            time.sleep(0.1)

    def done(self, task_id: str) -> dict[str, Any]:
        """Return a task's status once it has ended well."""
        status = self.ended(task_id)
        assert status["state"] == "SUCCESS", status["error"]
        return status

    def manifest(self, artifact_id: str) -> dict[str, Any]:
        return self.client.artifact(artifact_id)["manifest"]

    def files(self, artifact_id: str) -> dict[str, str]:
        """Return name -> SHA-256 of an artifact's files."""
        return {entry["name"]: entry["sha256"] for entry in self.manifest(artifact_id)["files"]}

    def table(self, artifact_id: str, file: str = "") -> pa.Table:
        """Return rows through the API, as Parquet; it must not have cut any off."""
        query = {"format": "parquet", "limit": 1_000_000, "file": file}
        table = pq.read_table(pa.BufferReader(self.client.request("GET", self.data(artifact_id), params=query).content))
        assert table.num_rows < 1_000_000
        return table

    def data(self, artifact_id: str) -> str:
        return f"/artifacts/{artifact_id}/data"

    def cli(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the `tickloom` command as a user of this system would."""
        return subprocess.run(
            [*CLI, *words], env=self.environment | environment, cwd=REPOSITORY, capture_output=True, text=True
        )


def stage_of(status: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """Return one stage of a task's status."""
    return next(row for row in status["stages"] if row["stage"] == stage)


@contextmanager
def running(home: Path, **settings: str) -> Iterator[System]:
    """Start everything, wait until it is ready, and stop it as Ctrl-C would; nothing may be left of it."""
    ports = {name: free_port() for name in PORTS}
    named = {f"{name}_PORT": str(port) for name, port in ports.items()}
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TICKLOOM_", "RAY_"))}
    ours = {"HOME": str(home), **named, **settings}
    environment = plain | {f"TICKLOOM_{name}": value for name, value in ours.items()}
    home.mkdir(parents=True, exist_ok=True)
    command = [*CLI, "up", "--venue", "sim", "--json"]
    with (home / "up.log").open("wb") as log:
        up = subprocess.Popen(
            command,
            env=environment,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    try:
        _wait_ready(up, home)
        with httpx.Client(base_url=f"http://127.0.0.1:{ports['GATEWAY']}", timeout=60) as http:
            yield System(home, ports, environment, http, Client(str(http.base_url)))
        recorded = runfile.read(home)
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0
        assert recorded is not None
        assert members(recorded.run, recorded.leaders()) == [], "something was left running"
    finally:
        left = runfile.read(home)
        up.kill()
        up.wait(10)
        if left is not None:
            kill_all(members(left.run, left.leaders()))


def _wait_ready(up: "subprocess.Popen[str]", home: Path) -> None:
    ready = threading.Event()

    def listen() -> None:  # to the end, or a full pipe would stop the supervisor
        text = ""
        assert up.stdout is not None
        for line in up.stdout:
            text += line
            if line == "}\n":
                said = json.loads(text)
                text = ""
                if (said["part"], said["event"]) == ("supervisor", "ready"):
                    ready.set()

    threading.Thread(target=listen, daemon=True).start()
    give_up = time.monotonic() + 180
    while not ready.wait(0.1):
        assert up.poll() is None, (home / "up.log").read_text()[-2000:]
        assert time.monotonic() < give_up, "the system did not come up in time"
