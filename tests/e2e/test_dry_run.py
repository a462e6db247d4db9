"""What a dry run of the demo says beforehand, held against what the run then takes."""

import copy

import yaml

from tests.conftest import REPOSITORY
from tests.e2e.system import System


def test_the_bounds_of_a_dry_run_hold_for_the_demo(system: System) -> None:
    """The demo as it is: bounds before anything is there, exact rows once the signals are."""
    chain = yaml.safe_load((REPOSITORY / "configs" / "demo.yaml").read_text())
    before = system.client.estimate(chain)
    assert before["trials"] == 64
    run = system.client.pipeline(chain)
    status = run.wait(timeout=200)
    stored = system.manifest(status["stages"][0]["artifact_id"])["facts"]["symbols"]
    trades = sum(symbol["rows"] for symbol in stored.values())
    manifest = system.manifest(status["stages"][3]["artifact_id"])
    n_bars = sum({entry["facts"]["symbol"]: entry["facts"]["n_bars"] for entry in manifest["files"][1:]}.values())
    for one, stage in zip(before["stages"], status["stages"], strict=True):
        rows = trades if one["stage"] in ("download", "bars") else n_bars
        assert one["rows"]["low"] <= rows <= one["rows"]["high"], (one, stage)
    other = copy.deepcopy(chain["backtest"]) | {"commission_rate": 0.0007}
    exact = system.client.estimate(other, stage="backtest", input=status["stages"][3]["artifact_id"])
    assert exact["rows"] == {"low": n_bars, "expected": n_bars, "high": n_bars}
    ended = system.client.submit("backtest", other, input=status["stages"][3]["artifact_id"]).wait(timeout=100)
    assert ended["trials"] == {"done": 128, "total": 128}
    assert ended["best"]["objective"] == "sharpe_ratio"
    assert not [task for task in system.client.tasks(limit=1000) if task["artifact_id"] == before["artifact_id"]][1:]
