"""A contender in a process of its own: `python -m benchmarks.contender MODULE` runs the module's functions.

Calls come on stdin, one JSON object a line: {"call": "ingest", "arguments": {...}, "least_s": 0}. The answer is a line
too: what the function returned, the wall time and the CPU time of all threads of this process that one call took (the
mean of as many calls as fill `least_s`), and the most memory that the process has had.

This file is also run by the interpreters of the peers' environments, which have nothing of ours but this folder.
"""

import contextlib
import gc
import importlib
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TextIO


def peak_rss_mb() -> float:
    """Return the most memory that this process has had since it became this program, in megabytes."""
    with contextlib.suppress(OSError):  # ru_maxrss would count what the parent had when it forked
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def answer(module: Any, call: dict[str, Any]) -> dict[str, Any]:
    """Run one call, again and again until `least_s` have passed, and return what came of it."""
    function = getattr(module, call["call"])
    gc.collect()
    n, wall, cpu = 0, time.perf_counter(), time.process_time()
    while not n or time.perf_counter() - wall < call.get("least_s", 0):
        result = function(**call["arguments"])
        n += 1
    cost = {"wall_s": (time.perf_counter() - wall) / n, "cpu_s": (time.process_time() - cpu) / n}
    return {"result": result, **cost, "rss_mb": peak_rss_mb()}


def serve(module: Any, calls: TextIO, answers: TextIO) -> None:
    """Answer calls until there are no more."""
    for line in calls:
        try:
            reply = answer(module, json.loads(line))
        except Exception:
            reply = {"error": traceback.format_exc()}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    # What a library prints must not get between the answers.
    with os.fdopen(os.dup(1), "w") as out, contextlib.redirect_stdout(sys.stderr):
        os.dup2(2, 1)
        serve(importlib.import_module(f"benchmarks.{sys.argv[1]}"), sys.stdin, out)
