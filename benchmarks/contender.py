"""A contender in a process of its own: `python -m benchmarks.contender MODULE` runs the module's functions.

Calls come on stdin, one JSON object a line: {"call": "ingest", "arguments": {...}}. The answer is a line too: what the
function returned, its wall time, and the CPU time that all threads of this process spent meanwhile.

This file is also run by the interpreter of the peers' environment, which has nothing of ours but this folder.
"""

import contextlib
import gc
import importlib
import json
import os
import sys
import time
import traceback
from typing import Any, TextIO


def answer(module: Any, call: dict[str, Any]) -> dict[str, Any]:
    """Run one call and return what came of it."""
    function = getattr(module, call["call"])
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(**call["arguments"])
    cost = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    return {"result": result, **cost}


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
