"""Containers reach Ray through Ray Client: the fan-out gives the same results, errors and cancelling that way."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.files import ROOT


def free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for found in sockets:
        found.bind(("127.0.0.1", 0))
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


def answers_at(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def head() -> Iterator[tuple["subprocess.Popen[bytes]", dict[str, str]]]:
    """A Ray head with a client server, in a session of its own, and the environment to reach it."""
    # Ray's sockets need a short path.
    folder = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
    (folder / "token").write_text(secrets.token_hex(32))
    gcs, client = free_ports(2)
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "5",  # of 30 s for which a client looks for a head that is gone
        "TICKLOOM_RAY_ADDRESS": f"ray://127.0.0.1:{client}",
        "TICKLOOM_CPUS": "2",
        "PYTHONPATH": str(ROOT),
    }
    options = ["--head", "--block", "--port", str(gcs), "--node-ip-address", "127.0.0.1", "--num-cpus", "2"]
    options += ["--ray-client-server-port", str(client), "--min-worker-port", "0", "--max-worker-port", "0"]
    options += ["--object-store-memory", "100000000", "--include-dashboard", "false", "--temp-dir", str(folder / "r")]
    start = [Path(sys.executable).with_name("ray"), "start", *options]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(start, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 180
        while not answers_at(client):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "Ray's client server did not come up"
            time.sleep(0.2)
        yield process, environment
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(600)
def test_ray_client_gives_what_the_local_pool_gives(head):
    process, environment = head
    # Not as __main__: tasks are found by the name of their module.
    code = "from tests.deploy.ray_client_tasks import main; main()"
    driver = [sys.executable, "-c", code, str(process.pid)]
    out = subprocess.run(driver, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert out.returncode == 0, out.stderr[-3000:]
    results, errors, cancelling, after_death = (json.loads(line) for line in out.stdout.splitlines())
    assert results == {"results": [[i, i * i] for i in range(12)], "warnings": []}, out.stderr[-3000:]
    assert errors == {"args": ["trades", "BTCUSDT/2022-01-03"]}
    assert cancelling["seconds"] < 40
    assert after_death == {"finished": 2}
