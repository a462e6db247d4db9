"""A real Ray head on free ports, for tests."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.processes import free_port


class RayHead:
    """A head that can be killed and started again on the same port."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tl"))  # Ray's socket paths must be short
        self.token = secrets.token_hex(32)
        (self.folder / "token").write_text(self.token)
        (self.folder / "token").chmod(0o600)
        self.port, self.dashboard, client = free_port(), free_port(), free_port()
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "token"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_num_workers_soft_limit": "8",
            "RAY_idle_worker_killing_time_threshold_ms": "600000",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        self._command = [
            *(sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--head", "--block"),
            *(f"--port={self.port}", "--node-ip-address=127.0.0.1", "--num-cpus=2", "--object-store-memory=100000000"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={self.dashboard}", f"--ray-client-server-port={client}"),
            *("--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"),
            *("--include-log-monitor=false", "--disable-usage-stats", f"--temp-dir={self.folder / 'r'}"),
        ]
        self._pids: set[int] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        log = self.folder / "log"
        with log.open("w") as out:
            self._process = subprocess.Popen(
                self._command, stdout=out, stderr=out, env=os.environ | self.environment, start_new_session=True
            )
        until = time.monotonic() + 90
        while "Ray runtime started" not in log.read_text():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill the whole head at once, as a power cut would."""
        with suppress(psutil.NoSuchProcess):
            self._pids |= {child.pid for child in psutil.Process(self._process.pid).children(recursive=True)}
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pid in self._pids:  # those that Ray put into groups of their own
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
