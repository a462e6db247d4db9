"""Tasks that the fan-out runs somewhere else, and a driver that sends them.

The driver prints one JSON line per answer; at last it kills the head, whose process group it is given.
"""

import json
import os
import signal
import sys
import threading
import time
from typing import Any

from tickloom.errors import MissingPartition, StageCancelled
from tickloom.fanout import Task, cluster, map_unordered
from tickloom.telemetry import configure_logging


def square(value: int) -> int:
    return value * value


def missing(partition: str) -> None:
    raise MissingPartition("trades", partition)


def doze(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def results() -> Any:
    """Send tasks. Ray gives a new client 30 s to be served, which a busy machine may miss: the next job asks again."""
    for _ in range(4):
        warnings: list[str] = []
        tasks = [Task(f"square {i}", square, (i,)) for i in range(12)]
        found = {"results": sorted(map_unordered(tasks, warn=warnings.append)), "warnings": warnings}
        if not warnings:
            break
    return found


def errors() -> Any:
    try:
        list(map_unordered([Task("missing", missing, ("BTCUSDT/2022-01-03",))]))
    except MissingPartition as error:
        return {"args": error.args}


def cancelling() -> Any:
    cancelled, began = threading.Event(), time.monotonic()
    threading.Timer(1, cancelled.set).start()
    try:
        list(map_unordered([Task("doze", doze, (60,))], cancelled=cancelled))
    except StageCancelled:
        return {"seconds": time.monotonic() - began}


def head_dies(group: int) -> Any:
    threading.Timer(2, lambda: os.killpg(group, signal.SIGKILL)).start()
    return {"finished": len(list(map_unordered([Task(f"doze {i}", doze, (4,)) for i in range(2)])))}


def main() -> None:
    configure_logging("test")  # to stderr
    cluster.JOIN_S = 200.0  # on a busy machine Ray Client takes longer than anybody should wait who can do without
    for answer in (results, errors, cancelling, lambda: head_dies(int(sys.argv[1]))):
        print(json.dumps(answer()), flush=True)
