"""The pipeline of 64 combinations on a year of real 15-minute klines, as `configs/` has it. Its table is pinned."""

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import REPOSITORY
from tests.e2e.system import System
from tickloom.client import Run

COLUMNS = ["fast", "slow", "total_return", "sharpe_ratio", "max_drawdown", "n_trades"]
BEST = [
    (30, 150, 0.4053774025895973, 1.1450099691872058, -0.36964062171254064, 138),
    (30, 200, 0.37606979694955167, 1.0624151232850625, -0.3243696953410157, 121),
    (30, 80, 0.2917431622036084, 0.951124527673608, -0.22272988745904942, 184),
    (25, 150, 0.3094194678881461, 0.9349280210772166, -0.37166598056626865, 142),
    (10, 200, 0.2759363743598542, 0.851155534471746, -0.3369190762940564, 164),
]
WORST = [
    (12, 40, -0.5580828625749075, -2.5377140305679418, -0.6082493979682264, 362),
    (8, 40, -0.601918386393999, -2.8248773212186697, -0.6545934854312121, 409),
    (10, 40, -0.5995211791891575, -2.8739457148302567, -0.6508559086049501, 390),
    (5, 50, -0.6589762902915359, -3.0617488303336757, -0.6972848594538016, 433),
    (5, 40, -0.7083376931686576, -3.741111373482953, -0.7421350449687407, 477),
]


@pytest.fixture(scope="module")
def run(system: System, shared_data: Path) -> Run:
    made = system.client.pipeline(REPOSITORY / "configs" / "sma-grid-15m.yaml")
    made.wait(timeout=200)
    return made


def by_sharpe(run: Run) -> pd.DataFrame:
    return run.grid().sort_values("sharpe_ratio", ascending=False, kind="stable").reset_index(drop=True)


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in frame[COLUMNS].itertuples(index=False)]


def test_all_64_combinations_are_there(run):
    grid = run.grid()
    assert sorted(grid["combo"]) == list(range(64))
    assert len(set(zip(grid["fast"], grid["slow"], strict=True))) == 64


@pytest.mark.parametrize("end", ["best", "worst"])
def test_the_best_and_the_worst_five_are_the_pinned_ones(run, end):
    table = by_sharpe(run)
    found, pinned = (rows(table.head(5)), BEST) if end == "best" else (rows(table.tail(5)), WORST)
    assert len(found) == len(pinned)
    for row, expected in zip(found, pinned, strict=True):
        assert row == pytest.approx(expected, rel=1e-9)


def test_bars_are_the_klines_of_the_file_and_nothing_else(run, shared_data):
    source = pd.read_feather(shared_data / "klines" / "binance_spot" / "BTC_USDT-15m-2023.feather")
    bars = run.client.data(run.artifact_id("bars"))
    assert len(bars) == len(source) == 34994
    for name in ("open", "high", "low", "close", "volume"):
        assert bars[name].to_numpy() == pytest.approx(source[name].to_numpy(), rel=0, abs=0)


def test_the_best_of_the_grid_is_the_run_that_is_shown_in_full(run):
    best = by_sharpe(run).iloc[0]
    shown = run.results()["best"]["BTCUSDT"]
    assert shown["parameters"] == {"fast": best["fast"], "slow": best["slow"]}
    assert len(run.trades("BTCUSDT")) == best["n_trades"]
    assert run.equity("BTCUSDT")["equity"].iloc[-1] == best["final_equity"]


def test_the_file_that_was_imported_is_pinned_in_the_artifact(system, run, shared_data):
    file = system.manifest(run.artifact_id("download"))["request"]["files"]["BTCUSDT"]
    assert file["sha256"] == hashlib.sha256((shared_data / file["path"]).read_bytes()).hexdigest()
