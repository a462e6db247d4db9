"""A process that maps tasks over Ray and is watched from outside: a line on stdin makes it do the next thing.

It answers each line with one JSON line: what the tasks returned, where they ran, what was warned of.
"""

import json
import signal
import sys
import time

from tests.tickloom.fanout import tasks
from tickloom.fanout import Task, map_unordered
from tickloom.telemetry import configure_logging


def main() -> None:
    configure_logging("driver")  # to stderr
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    for line in sys.stdin:
        kind, count, seconds = json.loads(line)
        warnings: list[str] = []
        begun = time.monotonic()
        if kind == "where":
            todo = [Task(f"where {i}", tasks.where, (i,)) for i in range(count)]
        else:
            todo = [Task(f"nap {i}", tasks.nap, (seconds, i)) for i in range(count)]
        results = []
        for index, result in map_unordered(todo, warn=warnings.append):
            results.append((index, result))
            if kind == "watched":
                print(json.dumps({"finished": index}), flush=True)
        kept = before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        answer = {"results": sorted(results), "warnings": warnings, "took_s": time.monotonic() - begun, "kept": kept}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
