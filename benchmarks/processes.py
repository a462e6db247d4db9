"""Contenders as processes: those that stay and are warm, those that live for one call, and their environments."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "benchmarks" / "peers" / "locks"
ENVIRONMENTS = ROOT / ".venv-bench"
LEAST_S = 0.3
"""Short calls of warm contenders are repeated until so much time has passed."""


@dataclass(frozen=True)
class Sample:
    """What one call cost."""

    wall_s: float
    cpu_s: float
    rss_mb: float = 0.0


def name_of(module: str) -> str:
    """Return what a contender is called in the report."""
    return "tickloom" if module.startswith("ours.") else module.rpartition("with_")[2]


@dataclass
class Contender:
    """A process that answers calls."""

    module: str
    process: "subprocess.Popen[str]"

    @property
    def name(self) -> str:
        """What it is called in the report."""
        return name_of(self.module)

    def call(self, function: str, *, least_s: float = 0.0, **arguments: Any) -> dict[str, Any]:
        """Return `result`, `wall_s`, `cpu_s`, `rss_mb` of a call. Raises RuntimeError with its traceback."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        call = {"call": function, "arguments": arguments, "least_s": least_s}
        self.process.stdin.write(json.dumps(call) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        reply = json.loads(line) if line else {"error": "the process ended"}
        if "error" in reply:
            raise RuntimeError(f"{self.name} failed in {function}: {reply['error']}")
        return dict(reply)

    def sample(self, function: str, **arguments: Any) -> Sample:
        """Call, and return what it cost."""
        reply = self.call(function, least_s=LEAST_S, **arguments)
        return Sample(reply["wall_s"], reply["cpu_s"], reply["rss_mb"])


@contextmanager
def contender(module: str) -> Iterator[Contender]:
    """Start a contender; end it afterwards."""
    with _started(module) as process:
        try:
            yield Contender(module, process)
        finally:
            process.kill()


def fresh(module: str, function: str, **arguments: Any) -> Sample:
    """Return what a call costs a process that is started for it alone, from its start to its end, imports included."""
    before, wall = _children_s(), time.perf_counter()
    with _started(module) as process:
        reply = Contender(module, process).call(function, **arguments)
        process.communicate()
    return Sample(time.perf_counter() - wall, _children_s() - before, reply["rss_mb"])


def _children_s() -> float:
    """Return the CPU seconds of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _started(module: str) -> "subprocess.Popen[str]":
    python = python_of(name_of(module)) if _lock(name_of(module)).exists() else Path(sys.executable)
    command = [str(python), "-m", "benchmarks.contender", module]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _lock(peer: str) -> Path:
    return LOCKS / f"{peer}.lock"


def python_of(peer: str) -> Path:
    """Return the interpreter of a peer that has an environment of its own."""
    return ENVIRONMENTS / peer / "bin" / "python"


def install(peer: str) -> str:
    """Make the environment of a peer from its lock file, or keep it; return why that is impossible, or nothing."""
    lock, folder = _lock(peer), ENVIRONMENTS / peer
    note = folder / "installed"
    if note.exists() and note.read_text() == lock.read_text():
        return ""
    print(f"setting up .venv-bench/{peer} from {lock.relative_to(ROOT)}", flush=True)
    uv = Path(sys.executable).with_name("uv")
    python = str(python_of(peer))
    pip = [str(uv), "pip", "install", "--python", python] if uv.exists() else [python, "-m", "pip", "install"]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        command = [*pip, "--quiet", "--require-hashes", "-r", str(lock)]
        subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        return (error.stderr or str(error)).strip().splitlines()[0]
    note.write_text(lock.read_text())
    return ""
