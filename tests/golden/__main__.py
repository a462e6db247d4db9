"""`python -m tests.golden` says what the golden strategies do otherwise than was kept; `--write` keeps what they do.

Without the real market data (TICKLOOM_SHARED_DATA) the strategies on it are left as they are.
"""

import json
import os
import sys
from pathlib import Path

from tests.golden.markets import MADE
from tests.golden.record import Record, differences, record_of
from tests.golden.strategies import STRATEGIES

KEPT = Path(__file__).parent / "golden.json"
REPOSITORY = Path(__file__).resolve().parents[2]


def kept() -> dict[str, Record]:
    """Return strategy -> what was kept of it."""
    records: dict[str, Record] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return records


def main(write: bool) -> int:
    """Print what changed, strategy by strategy; return how many did."""
    folder = Path(os.environ.get("TICKLOOM_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    shared_data = folder if folder.is_dir() else None
    before, now, n_changed = kept(), {}, 0
    for strategy in STRATEGIES:
        if strategy.market not in MADE and shared_data is None:
            print(f"{strategy.name}: not looked at, {folder} is missing")
            now[strategy.name] = before[strategy.name]
            continue
        now[strategy.name] = record_of(strategy, shared_data)
        if lines := differences(before.get(strategy.name, {}), now[strategy.name]):
            n_changed += 1
            print(f"{strategy.name} ({strategy.market})", *lines, sep="\n    ")
    for name in before.keys() - now.keys():
        n_changed += 1
        print(f"{name}: is gone")
    print(f"{n_changed} of {len(STRATEGIES)} strategies changed")
    if write:
        KEPT.write_text(json.dumps(now, indent=1, allow_nan=False) + "\n")
    return n_changed


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv[1:]) > 0 and "--write" not in sys.argv[1:])
