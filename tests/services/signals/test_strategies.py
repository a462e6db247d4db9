"""S18: an installed strategy as a stage: the operator allows it, a request names it, its code is part of the id."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.backtest.api import app as backtest_app
from services.signals.api import app
from services.signals.domain.decisions import StrategyFailed
from services.signals.job import SignalsJob
from tests.services.signals.stages import SMAS, bars_table, events, features_artifact, files_of, served, stage_call
from tests.tickloom.strategy.packages import MODULE, allowed, forget, install
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.errors import InvalidRequest, TickloomError
from tickloom.http import Report
from tickloom.lake import Lake, floats, open_lake
from tickloom.strategy.feed import Bars
from tickloom.strategy.installed import StrategyChanged, StrategyNotAllowed, UnknownStrategy, find
from tickloom.strategy.registry import load
from tickloom.strategy.rules import Rules

BARS = {"BTCUSDT": 400, "ETHUSDT": 300}
GRID = {"span": [3, 10, 30], "gap_rate": [0, 0.004]}


@pytest.fixture
def lake(home: Path) -> Lake:
    return open_lake()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = tmp_path / "installed"
    install(place, "mystrat")
    names = "mystrat-mean, mystrat-aware, mystrat-odd, mystrat-broken, mystrat-callbacks, absent"
    with allowed(monkeypatch, place, names):
        yield place


@pytest.fixture
def features(lake: Lake) -> Manifest:
    return features_artifact(lake, {s: bars_table(n, seed=n) for s, n in BARS.items()}, SMAS)


def request(name: str = "mystrat-mean", **parameters: Any) -> SignalsRequest:
    found = find(name)
    strategy = {"name": name, "package": found.package, "source": found.source}
    return SignalsRequest.model_validate({"strategy": strategy, "parameters": parameters})


def masks_of(lake: Lake, manifest: Manifest, symbol: str, n_bars: int) -> list[list[int]]:
    table = lake.read_table(lake.entry(manifest, f"{symbol}/0-5.parquet")).to_pylist()
    masks = np.zeros((6, n_bars), int)
    for row in table:
        masks[row["combo"], row["bar"] :] = row["mask"]
    return masks.tolist()


def test_a_strategy_and_its_grid_run_over_http_to_signals_and_a_backtest(
    lake: Lake, folder: Path, features: Manifest
) -> None:
    with served(app) as url:
        *progress, last = events(url, "signals", stage_call("signals", request(**GRID), features))
    assert last["event"] == "finished", last
    assert {"signals BTCUSDT 0-5", "signals ETHUSDT 0-5"} == {e["message"] for e in progress} - {""}
    signals = lake.manifest(last["manifest"]["id"])
    assert list(lake.read_table(lake.entry(signals, "combos.parquet")).column_names) == ["combo", "gap_rate", "span"]
    table = lake.read_table(lake.entry(features, "BTCUSDT.parquet"))
    mean, masks = load("mystrat-mean").made, masks_of(lake, signals, "BTCUSDT", 400)
    columns = [floats(table[name]) for name in ("open", "high", "low", "close")]
    bars = Bars(*columns, *(np.array(table[name]) for name in ("ts_open", "ts_close")))
    rules = Rules(10_000.0, 1.0, 0.001, 0.0005, 0.02, maker_rate=0.001)
    for combo, (gap_rate, span) in enumerate((gap, span) for gap in GRID["gap_rate"] for span in GRID["span"]):
        played = mean.run(bars, rules, mean.of({"span": span, "gap_rate": gap_rate}))  # type: ignore[union-attr]
        assert played.masks.tolist() == masks[combo]
    with served(backtest_app) as url:
        call = stage_call("backtest", BacktestRequest(stop_loss_rate=0.02), signals)
        *_, last = events(url, "backtest", call)
    assert last["event"] == "finished", last
    made = lake.manifest(last["manifest"]["id"])
    best = made.facts["best"]["BTCUSDT"]
    assert set(best["parameters"]) == {"gap_rate", "span"}
    played = mean.run(bars, rules, mean.of(best["parameters"]))  # type: ignore[union-attr]
    equity = lake.read_table(lake.entry(made, "equity/BTCUSDT.parquet"))["equity"].to_numpy()
    np.testing.assert_array_equal(equity, played.equity)
    assert played.fills.bar.size > 10
    assert {"grid.parquet", "luck/BTCUSDT.json", "trades/ETHUSDT.parquet"} <= set(files_of(made))


def test_code_that_changes_is_another_artifact_and_never_runs_under_the_name_of_the_old(
    lake: Lake, folder: Path, features: Manifest
) -> None:
    old = request(span=[5])
    first = SignalsJob(lake).run(stage_call("signals", old, features), Report())
    install(folder, "mystrat", version="1.1", code=MODULE.replace("bar.close < mean", "bar.close < mean * 1.01"))
    with pytest.raises(StrategyChanged, match=r"mystrat 1\.1 here is not the one"):
        SignalsJob(open_lake()).run(stage_call("signals", request_like(old, [5, 6]), features), Report())
    new = request(span=[5])
    assert new.strategy.package == "mystrat 1.1"
    assert new.canonical() != old.canonical()
    with pytest.raises(StrategyChanged, match="installed anew after this process loaded it"):
        SignalsJob(lake).run(stage_call("signals", new, features), Report())
    forget(folder)
    second = SignalsJob(lake).run(stage_call("signals", new, features), Report())
    assert second.id != first.id
    assert files_of(second)["BTCUSDT/0-0.parquet"] != files_of(first)["BTCUSDT/0-0.parquet"]


def request_like(old: SignalsRequest, span: list[int]) -> SignalsRequest:
    return SignalsRequest.model_validate(old.canonical() | {"parameters": {"span": span}})


@pytest.mark.parametrize(
    ("name", "parameters", "kind", "reason"),
    [
        ("mystrat-mean", {"spam": [3]}, InvalidRequest, "parameters.spam.*it has: span, gap_rate"),
        ("mystrat-mean", {"span": [3.5]}, InvalidRequest, "3.5 is no int"),
        ("mystrat-aware", {}, StrategyFailed, "decides by the account, which only the backtest knows"),
        ("mystrat-callbacks", {}, StrategyFailed, "a stage runs a CompiledStrategy"),
        ("mystrat-odd", {}, StrategyFailed, "decided 64 at bar 5 of"),
        ("mystrat-broken", {}, StrategyFailed, "RuntimeError: nothing to begin with"),
    ],
)
def test_what_is_wrong_with_a_strategy_is_told_of_by_name(
    lake: Lake, folder: Path, features: Manifest, name: str, parameters: Any, kind: type[TickloomError], reason: str
) -> None:
    with pytest.raises(kind, match=reason):
        SignalsJob(lake).run(stage_call("signals", request(name, **parameters), features), Report())


def test_S18_what_is_not_allowed_is_refused_by_the_stage_too_and_not_imported(
    lake: Lake, folder: Path, features: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = stage_call("signals", request(span=[3]), features)
    with allowed(monkeypatch, folder, "mystrat-other"):
        sys.modules.pop("mystrat.code", None)
        with served(app) as url:
            *_, last = events(url, "signals", call)
        assert last["event"] == "failed"
        assert last["problem"]["type"].endswith("strategy-not-allowed")
        assert "TICKLOOM_STRATEGIES_ALLOW" in last["problem"]["next"]
        assert "mystrat.code" not in sys.modules


def test_a_stage_insists_on_the_code_that_the_request_was_accepted_with(
    lake: Lake, folder: Path, features: Manifest
) -> None:
    bare = SignalsRequest.model_validate({"strategy": "mystrat-mean"})
    with pytest.raises(InvalidRequest, match="the gateway fills it in"):
        SignalsJob(lake).run(stage_call("signals", bare, features), Report())


def test_a_name_that_two_packages_bring_is_nobodys(folder: Path) -> None:
    install(folder, "othr")
    (folder / "othr-1.0.dist-info" / "entry_points.txt").write_text(
        "[tickloom.strategies]\nmystrat-mean = othr.code:mean\n"
    )
    with pytest.raises(UnknownStrategy, match="more than one package"):
        find("mystrat-mean")


def test_by_default_no_strategy_may_run(home: Path) -> None:
    with pytest.raises(StrategyNotAllowed):
        find("ema-cross")
