"""`python -m tests.golden` says what the golden strategies do otherwise than was kept; `--write` keeps what they do.

Without the real market data (TICKLOOM_SHARED_DATA) the strategies on it are left as they are.
"""

import json
import os
import sys
from pathlib import Path

from tests.golden import accounts, orders, record
from tests.golden.accounts import ACCOUNTS, Shared
from tests.golden.orders import SENT, Sent
from tests.golden.record import Record, differences
from tests.golden.strategies import STRATEGIES, Strategy

KEPT = Path(__file__).parent / "golden.json"
REPOSITORY = Path(__file__).resolve().parents[2]


Golden = Strategy | Shared | Sent
ALL: tuple[Golden, ...] = (*STRATEGIES, *ACCOUNTS, *SENT)


def kept() -> dict[str, Record]:
    """Return strategy -> what was kept of it."""
    records: dict[str, Record] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    return records


def found_of(strategy: Golden, shared_data: Path | None) -> Record:
    """Return what a strategy does now."""
    if isinstance(strategy, Strategy):
        return record.record_of(strategy, shared_data)
    return (accounts.record_of if isinstance(strategy, Shared) else orders.record_of)(strategy, shared_data)


def main(write: bool) -> int:
    """Print what changed, strategy by strategy; return how many did."""
    folder = Path(os.environ.get("TICKLOOM_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    shared_data = folder if folder.is_dir() else None
    before, now, n_changed = kept(), {}, 0
    for strategy in ALL:
        if not strategy.is_made and shared_data is None:
            print(f"{strategy.name}: not looked at, {folder} is missing")
            now[strategy.name] = before[strategy.name]
            continue
        now[strategy.name] = found_of(strategy, shared_data)
        if lines := differences(before.get(strategy.name, {}), now[strategy.name]):
            n_changed += 1
            print(strategy.name, *lines, sep="\n    ")
    for name in before.keys() - now.keys():
        n_changed += 1
        print(f"{name}: is gone")
    print(f"{n_changed} of {len(ALL)} strategies changed")
    if write:
        KEPT.write_text(json.dumps(now, indent=1, allow_nan=False) + "\n")
    return n_changed


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv[1:]) > 0 and "--write" not in sys.argv[1:])
