"""Whether features forget where the data began, after as many bars as they say that they need (guarantee C1c)."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pyarrow as pa

from cli.lookahead.chain import Made, Plan, stage_call
from cli.lookahead.compare import Leak
from cli.lookahead.cuts import LATE, Cut
from services.features.job import FeaturesJob
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.bars import bars_of
from tickloom.fanout import inline
from tickloom.http import Report
from tickloom.identity import digest
from tickloom.kernel import F64
from tickloom.lake import Lake, floats

TOLERANCE: Final = 1e-9
"""Of a value, and of the largest value of its column: an average that fades is never bit for bit the same."""


def late_starts(made: Made, seed: int, n: int) -> list[float]:
    """Return the shares of the bars that are left out at the front, up to a half, by a seed."""
    return np.random.default_rng([seed, 1]).uniform(0.0, 0.5, n).tolist() if "features" in made.stages else []


def unsettled(made: Made, plan: Plan, share: float, folder: Path) -> Iterator[Leak]:
    """Make the features again of bars that begin later; yield the first value of each column that is another one.

    Only rows after a column's `settled` count. Bars that are too few for that tell nothing.
    """
    request = plan.pipeline.features
    assert request is not None
    with inline(), TemporaryDirectory(dir=folder, prefix="late-") as name:
        lake = Lake(name)
        bars = _later(made, plan, share, lake)
        if not bars.files:
            return
        late = FeaturesJob(lake).run(stage_call("features", request.model_copy(update={"bars": None}), bars), Report())
        for entry in late.files:
            if not entry.name.endswith(".parquet"):
                continue
            true = made.stages["features"].file(entry.name)
            assert true is not None
            ours, theirs = lake.read_table(entry), made.lake.read_table(true)
            theirs = theirs.slice(theirs.num_rows - ours.num_rows)
            for column, settled in entry.facts["settled"].items():
                row = _first_difference(floats(ours[column])[settled:], floats(theirs[column])[settled:])
                if row >= 0:
                    yield _leak(Path(entry.name).stem, column, row + settled, ours, theirs)


def _later(made: Made, plan: Plan, share: float, lake: Lake) -> Manifest:
    """Write the bars that features are made of, those of the front left out, and return their manifest."""
    name = plan.bars_name()
    bars = made.stages["bars"]
    chosen = bars_of(bars, name or next(iter(sorted(bars.facts.get("bars", ()))), None))
    by_symbol: dict[str, list[pa.Table]] = {}
    for entry in chosen.files:
        if entry.name.endswith(".parquet"):
            by_symbol.setdefault(str(Path(entry.name).parent), []).append(made.lake.read_table(entry))
    files = []
    for symbol, tables in by_symbol.items():
        skipped = max(int(sum(table.num_rows for table in tables) * share), 1)
        for number, table in enumerate(tables):
            kept = table.slice(min(skipped, table.num_rows))
            skipped -= table.num_rows - kept.num_rows
            if kept.num_rows:
                files.append(lake.add_table(f"{symbol}/{number:06}.parquet", kept))
    made_of = digest(["probe", bars.id, name, share])
    return lake.put_manifest(bars.model_copy(update={"id": made_of, "files": tuple(files), "facts": {}}))


def _first_difference(ours: F64, theirs: F64) -> int:
    """Return the first row at which both differ by more than the tolerance or one is missing; -1 without one."""
    known = np.abs(theirs[np.isfinite(theirs)])
    scale = float(known.max()) if known.size else 0.0
    same = np.isclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True)
    return -1 if same.all() else int(np.argmin(same))


def _leak(symbol: str, column: str, row: int, ours: pa.Table, theirs: pa.Table) -> Leak:
    shown = [str(table[column][row].as_py()) for table in (theirs, ours)]
    start = Cut(int(ours["ts_open"][0].as_py()), LATE)
    return Leak("features", symbol, column, row, int(ours["ts_close"][row].as_py()), shown[0], shown[1], start)
