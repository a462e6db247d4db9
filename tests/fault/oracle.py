"""What a fault must not change: the request that every kill point submits, and the lake that it leaves undisturbed.

Between two points the lake is emptied and the ledger forgets its artifacts; the same request is then a new run that
makes the same artifacts again. So the lake of a disturbed run must equal the undisturbed one's, name by name and
byte by byte: manifests, parts and objects, nothing missing and nothing more.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select

from tests.fault.system import System
from tickloom.client import Run
from tickloom.contracts.stages import STAGES
from tickloom.lake import Lake, maintenance
from tickloom.ledger import runs, transaction
from tickloom.ledger.models import ACTIVE, SUCCESS, Outbox, Search
from tickloom.ledger.models import Run as RunRow

BOUND_S = 150.0
QUIET_S = 30.0
FAST, SLOW = [5, 8, 10, 12, 15, 20, 25, 30], [40, 60, 80, 100, 120, 140, 160, 200]


SMALL = {"days": 3, "trades_per_day": 4000}
"""What `request` takes for a run of a second or two, none of whose stages but the download needs Ray."""


def request(days: int = 8, trades_per_day: int = 33_000, mark: int = 0) -> dict[str, Any]:
    """Return a pipeline. The default is large enough for every stage but viz to fan out on Ray.

    `mark` makes other artifacts of the same bytes: it sets a field of the dataset that only some faults look at.
    """
    return {
        "name": "fault",
        "download": {
            "venue": "sim",
            "dataset": f"seed=11,trades_per_day={trades_per_day}" + (f",retry_after={mark}" if mark else ""),
            "symbols": ["BTCUSDT", "ETHUSDT"],
            "start_date": "2022-01-01",
            "end_date": f"2022-01-{days:02d}",
        },
        "bars": {"spec": {"kind": "tick", "threshold": 1}},
        "features": {
            "features": [
                {"name": "sma", "timeperiod": FAST + SLOW},
                {"name": "ema", "timeperiod": 100},
                {"name": "rsi", "timeperiod": 14},
            ]
        },
        "signals": {
            "long_entry": "sma_{fast} > sma_{slow} AND close > ema_100 AND rsi_14 < 70",
            "long_exit": "sma_{fast} < sma_{slow}",
            "parameters": {"fast": FAST, "slow": SLOW},
        },
        "backtest": {"initial_cash": 10000, "commission_rate": 0.001, "slippage_rate": 0.0005, "stop_loss_rate": 0.02},
        "viz": {"title": "Faults"},
    }


@dataclass(frozen=True)
class Reference:
    """A request and an undisturbed run of it: what it left in the lake (name -> SHA-256), its artifacts, its times."""

    body: Mapping[str, Any]
    tree: Mapping[str, str]
    artifacts: tuple[str, ...]
    seconds: float
    spans: tuple[tuple[str, float, float], ...]
    """(stage, begin, end), seconds since the run was accepted."""

    def moment(self, at: float) -> tuple[str, float]:
        """Return the stage that a fraction of the run's time falls into, and the seconds since that stage began."""
        wanted = at * self.seconds
        stage, begin, _ = next((span for span in self.spans if span[2] > wanted), self.spans[-1])
        return stage, max(0.0, wanted - begin)


def lake_of(system: System) -> Lake:
    return Lake(str(system.home / "lake"))


def tree(root: Path) -> dict[str, str]:
    """Return every file of a lake with its SHA-256, temporary ones included."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def collected(system: System) -> dict[str, str]:
    """Return the lake after a garbage collection that spares nothing for its youth."""
    lake = lake_of(system)
    maintenance.gc(lake, system.ledger, young_s=0, part_s=0)
    return tree(Path(lake.url))


def forget(system: System) -> None:
    """Empty the lake, in the memory of the ledger too, or it counts what was searched. Nothing may be at work."""
    assert active(system) == 0
    with transaction(system.ledger) as session:
        session.execute(delete(Search))
    runs.forget_artifacts(system.ledger, sorted(runs.known_artifacts(system.ledger)))
    for name in ("objects", "parts", "manifests", "tmp"):
        shutil.rmtree(system.home / "lake" / name, ignore_errors=True)


def active(system: System) -> int:
    """Return how many runs have not ended."""
    with transaction(system.ledger, write=False) as session:
        return session.scalar(select(func.count()).select_from(RunRow).where(RunRow.state.in_(ACTIVE))) or 0


def undisturbed(system: System, body: Mapping[str, Any]) -> Reference:
    """Run a request with nothing in its way; a machine that stalls for longer than a lease was in it, so once more."""
    for _ in range(3):
        system.recover()
        forget(system)
        run = system.client().pipeline(body)
        assert run.created
        status = run.wait(BOUND_S)
        if {stage["attempt"] for stage in status["stages"]} == {1}:
            break
    assert {stage["attempt"] for stage in status["stages"]} == {1}, status["stages"]
    assert not any(stage["cached"] for stage in status["stages"])
    ids = tuple(stage["artifact_id"] for stage in status["stages"])
    return Reference(body, collected(system), ids, system.seconds(run.id), system.spans(run.id))


def check(system: System, run: Run, reference: Reference) -> None:
    """Hold a run that met a fault against one that met none."""
    status = run.wait(BOUND_S)  # raises RunFailed, NotInTime
    assert [stage["stage"] for stage in status["stages"]] == list(STAGES)
    assert {stage["state"] for stage in status["stages"]} == {SUCCESS}
    assert not any(stage["cached"] for stage in status["stages"]), "another run has made this: the point tests nothing"
    assert tuple(stage["artifact_id"] for stage in status["stages"]) == reference.artifacts
    assert runs.known_artifacts(system.ledger) == set(reference.artifacts)
    assert active(system) == 0
    with transaction(system.ledger, write=False) as session:
        assert session.scalar(select(func.count()).select_from(Outbox)) == 0, "a message was left in the outbox"
    # An attempt that lost its lease may still be on its way to notice it.
    found = _settled(lambda: collected(system), reference.tree)
    assert _difference(found, reference.tree) == []
    verified = maintenance.verify(lake_of(system), system.ledger)
    assert verified.damages == []
    assert verified.manifests == len(reference.artifacts)
    assert _settled(system.strays, []) == []


def _settled(look: Callable[[], Any], wanted: Any) -> Any:
    """Return what is seen as soon as it is what is wanted, or what is still seen in the end."""
    end = time.monotonic() + QUIET_S
    while (found := look()) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    return found


def _difference(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Return, in words, how one lake differs from another."""
    words = [f"{name} is missing" for name in wanted if name not in found]
    words += [f"{name} is too much" for name in found if name not in wanted]
    return words + [f"{name} has other bytes" for name in wanted if found.get(name, wanted[name]) != wanted[name]]
