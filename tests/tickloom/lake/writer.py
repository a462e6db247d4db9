"""A nursery of writers that are killed: `python -m tests.tickloom.lake.writer every|random FOLDER [ROUNDS SEED]`.

It imports the lake once and forks a writer for each round, so that sixty of them take seconds.
`every` kills the writer with SIGKILL before its 1st, 2nd, ... system call that matters, until one goes through.
`random` lets it write for a random moment. Prints one line a round: how the writer ended.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pyarrow as pa

from tickloom.contracts.artifact import Manifest, Part
from tickloom.identity import artifact_id, digest
from tickloom.lake import Lake, decimals, write_table

CALLS = ("fsync", "link", "mkdir")


def write_artifact(lake: Lake, number: int) -> Manifest:
    """What a stage does: a table and a picture, a part, and last the manifest."""
    import numpy as np

    prices = pa.table({"id": np.arange(5000) + number, "price": decimals(np.arange(5000) * 7 + number, 2)})
    files = (lake.add_table("prices.parquet", prices), lake.add_bytes("equity.png", bytes(range(256)) * 40))
    part = lake.put_part("bars", digest({"part": number}), Part(files=files, facts={"number": number}))
    name = artifact_id("bars", 1, {"number": number}, ())
    made = Manifest(id=name, stage="bars", version=1, request={"number": number}, inputs=(), files=part.files)
    return lake.put_manifest(made)


def _die_at(count: int) -> None:
    """Kill this process before the call number `count` of those in CALLS."""
    left = [count]

    def counted(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **options: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        setattr(os, name, call)

    for name in CALLS:
        counted(name)


def _fork(folder: Path, *, die_at: int = 0, artifacts: int = 1) -> int:
    child = os.fork()
    if child == 0:
        if die_at:
            _die_at(die_at)
        for number in range(artifacts):
            write_artifact(Lake(str(folder)), number)
        os._exit(0)
    return child


def _ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    mode, root = sys.argv[1], Path(sys.argv[2])
    pa.set_cpu_count(1)
    write_table(pa.table({"a": [1]}), root / "warm.parquet")
    if mode == "every":
        for die_at in range(1, 1000):
            code = _ended(_fork(root / f"{die_at:03}", die_at=die_at))
            print(code, flush=True)
            if code == 0:
                return
    rounds, rng = int(sys.argv[3]), random.Random(int(sys.argv[4]))
    for _ in range(rounds):
        child = _fork(root / "lake", artifacts=1000)
        time.sleep(rng.uniform(0.0, 0.15))
        os.kill(child, signal.SIGKILL)
        print(_ended(child), flush=True)


if __name__ == "__main__":
    main()
