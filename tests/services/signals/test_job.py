"""The signals stage over real HTTP and a real lake."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.signals import job as signals_job
from services.signals.api import app
from services.signals.job import SignalsJob
from tests.services.signals.stages import SMAS, bars_table, events, features_artifact, files_of, served, stage_call
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.signals import SignalsRequest
from tickloom.errors import InvalidRequest
from tickloom.http import Report
from tickloom.lake import Lake, open_lake

CROSS = {"long_entry": "sma_{fast} > sma_{slow}", "long_exit": "sma_{fast} < sma_{slow}"}
GRID = {"fast": [2, 3, 5], "slow": [8, 13, 21]}


def request(**changes: Any) -> SignalsRequest:
    return SignalsRequest.model_validate(CROSS | {"parameters": GRID} | changes)


@pytest.fixture
def lake(home: Path) -> Lake:
    return open_lake()


@pytest.fixture
def features(lake: Lake) -> Manifest:
    return features_artifact(lake, {"BTCUSDT": bars_table(400), "ETHUSDT": bars_table(300, seed=1)}, SMAS)


def masks(lake: Lake, manifest: Manifest, symbol: str, combo: int, n_bars: int) -> np.ndarray[Any, Any]:
    """Undo the run-length form, row by row."""
    out = np.zeros(n_bars, np.int8)
    for entry in manifest.under(f"{symbol}/"):
        for row in lake.read_table(entry).to_pylist():
            if row["combo"] == combo:
                out[row["bar"] :] = row["mask"]
    return out


def test_a_call_over_http_tells_its_progress_and_ends_with_the_manifest(lake: Lake, features: Manifest) -> None:
    call = stage_call("signals", request(), features)
    with served(app) as url:
        told = events(url, "signals", call)
        again = events(url, "signals", call)
    progress, last = told[:-1], told[-1]
    assert [e["event"] for e in progress] == ["progress"] * 3
    assert [(e["done"], e["total"]) for e in progress] == [(0, 2), (1, 2), (2, 2)]
    assert progress[-1]["rows"] == (400 + 300) * 9
    assert "signals ETHUSDT 0-8" in {e["message"] for e in progress}
    assert last["event"] == "finished"
    assert again == [last]
    manifest = lake.manifest(call.artifact_id)
    assert [f.name for f in manifest.files] == ["combos.parquet", "BTCUSDT/0-8.parquet", "ETHUSDT/0-8.parquet"]
    assert manifest.facts["n_combos"] == 9
    assert manifest.inputs == (features.id,)


def test_two_orders_of_writing_the_parameters_are_one_request_with_one_answer(lake: Lake, features: Manifest) -> None:
    written = SignalsJob().run(stage_call("signals", request(), features), Report())
    other = Lake(lake.url + "-other")
    again = features_artifact(other, {"BTCUSDT": bars_table(400), "ETHUSDT": bars_table(300, seed=1)}, SMAS)
    turned = request(parameters=dict(reversed(GRID.items())))
    assert list(turned.parameters) == ["slow", "fast"]
    assert SignalsJob(other).run(stage_call("signals", turned, again), Report()) == written


def test_the_grid_is_the_cartesian_product_by_name_and_in_the_order_of_the_values(
    lake: Lake, features: Manifest
) -> None:
    manifest = SignalsJob().run(stage_call("signals", request(), features), Report())
    table = lake.read_table(lake.entry(manifest, "combos.parquet")).to_pylist()
    assert table[:4] == [
        {"combo": 0, "fast": 2, "slow": 8}, {"combo": 1, "fast": 2, "slow": 13},
        {"combo": 2, "fast": 2, "slow": 21}, {"combo": 3, "fast": 3, "slow": 8},
    ]  # fmt: skip
    assert len(table) == 9


def test_masks_are_the_crosses_of_the_columns(lake: Lake, features: Manifest) -> None:
    manifest = SignalsJob().run(stage_call("signals", request(), features), Report())
    table = lake.read_table(lake.entry(features, "ETHUSDT.parquet"))
    fast, slow = table["sma_3"].to_pylist(), table["sma_13"].to_pylist()
    expected, was = [], None
    for f, s in zip(fast, slow, strict=True):
        known = f is not None and s is not None
        above = f > s if known else None
        expected.append((1 if above and was is False else 0) | (2 if known and f < s else 0))
        was = above if known else was
    assert masks(lake, manifest, "ETHUSDT", 4, 300).tolist() == expected
    assert sum(mask & 1 for mask in expected) > 5


def test_rows_are_changes_only_and_carry_the_close_of_their_bar(lake: Lake, features: Manifest) -> None:
    manifest = SignalsJob().run(stage_call("signals", request(trigger="level"), features), Report())
    ts_close = lake.read_table(lake.entry(features, "BTCUSDT.parquet"))["ts_close"].to_numpy()
    before: dict[int, int] = {}
    for row in lake.read_table(lake.entry(manifest, "BTCUSDT/0-8.parquet")).to_pylist():
        assert row["mask"] != before.get(row["combo"], 0)
        assert row["ts"] == ts_close[row["bar"]]
        before[row["combo"]] = row["mask"]
    assert set(before) == set(range(9))


def test_no_combination_without_signals_is_lost(lake: Lake, features: Manifest) -> None:
    told: list[Any] = []
    manifest = SignalsJob().run(
        stage_call("signals", request(long_entry="sma_{fast} > 10 * sma_{slow}", long_exit=None), features),
        Report(told.append),
    )
    assert manifest.facts["n_without_entry"] == 18
    assert told[-1].warnings == ("no entry is ever signalled for BTCUSDT, ETHUSDT: nothing will be traded there",)
    assert [f.rows for f in manifest.files] == [9, 0, 0]


@pytest.mark.parametrize("small", [10**12, 0], ids=["in this process", "in a pool of processes"])
def test_the_bytes_do_not_depend_on_where_the_work_is_done(
    small: int, lake: Lake, features: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals_job, "SMALL", small)
    manifest = SignalsJob().run(stage_call("signals", request(), features), Report())
    assert files_of(manifest) == {
        name: PINNED[name] for name in ("combos.parquet", "BTCUSDT/0-8.parquet", "ETHUSDT/0-8.parquet")
    }


PINNED: dict[str, str] = {}


@pytest.fixture(autouse=True)
def _pin(home: Path) -> None:
    """The bytes that one undisturbed run in this process makes, made once."""
    if not PINNED:
        other = Lake(str(home / "pin"))
        source = features_artifact(other, {"BTCUSDT": bars_table(400), "ETHUSDT": bars_table(300, seed=1)}, SMAS)
        PINNED.update(files_of(SignalsJob(other).run(stage_call("signals", request(), source), Report())))


def test_batches_of_a_killed_run_are_kept(lake: Lake, features: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals_job, "BATCH", 2)
    call, first, second = stage_call("signals", request(), features), [], []

    def stop_after_three(event: Any) -> None:
        first.append(event)
        if event.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SignalsJob().run(call, Report(stop_after_three))
    assert lake.find(call.artifact_id) is None
    SignalsJob().run(call, Report(second.append))
    assert (second[0].done, second[0].total) == (3, 10)
    assert second[0].rows == first[-1].rows
    assert len(second) == 1 + 7


def test_a_cancelled_run_leaves_no_artifact(lake: Lake, features: Manifest) -> None:
    call, report = stage_call("signals", request(), features), Report()
    report.cancelled.set()
    with pytest.raises(Exception, match="cancelled"):
        SignalsJob().run(call, report)
    assert lake.find(call.artifact_id) is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"long_exit": "sma_{fast} < smaa_13"}, "did you mean sma_13"),
        ({"parameters": {"fast": [2, 4], "slow": [8]}}, "no column sma_4"),
    ],
)
def test_a_column_that_the_features_lack_is_a_named_problem_and_leaves_nothing(
    changes: dict[str, Any], says: str, lake: Lake, features: Manifest
) -> None:
    call = stage_call("signals", request(**changes), features)
    with served(app) as url:
        (event,) = events(url, "signals", call)
    assert event["event"] == "failed"
    assert event["problem"]["type"] == "urn:tickloom:problem:unknown-column"
    assert event["problem"]["status"] == 422
    assert says in event["problem"]["detail"]
    assert lake.find(call.artifact_id) is None


def test_a_rule_that_no_gateway_has_checked_is_refused_in_the_same_words(lake: Lake, features: Manifest) -> None:
    call = stage_call("signals", request(), features)
    call = call.model_copy(update={"request": call.request | {"long_exit": "AVG(close) < close"}})
    with pytest.raises(InvalidRequest, match="long_exit: character 1: AVG is over all bars"):
        SignalsJob().run(call, Report())


def test_an_artifact_of_another_stage_and_an_id_of_other_work_are_refused(lake: Lake, features: Manifest) -> None:
    made = SignalsJob().run(stage_call("signals", request(), features), Report())
    with pytest.raises(Exception, match="features are needed"):
        SignalsJob().run(stage_call("signals", request(), made), Report())
    wrong = stage_call("signals", request(), features).model_copy(update={"artifact_id": "0" * 64})
    with pytest.raises(Exception, match="not the id of this request"):
        SignalsJob().run(wrong, Report())


@pytest.mark.parametrize(
    ("seed", "grid"), [(7, GRID), (0, {"fast": [3, 5], "slow": [13]}), (0, {"fast": [2, 3, 5], "slow": [21, 13, 8]})]
)  # fmt: skip
def test_parts_kept_for_other_features_or_parameters_are_not_taken(seed: int, grid: dict[str, Any], lake: Lake) -> None:
    def made(where: Lake, seed: int, grid: dict[str, Any]) -> Manifest:
        features = features_artifact(where, {"BTCUSDT": bars_table(200, seed=seed)}, SMAS)
        return SignalsJob(where).run(stage_call("signals", request(parameters=grid), features), Report())

    first = made(lake, 0, GRID)
    second = made(lake, seed, grid)
    assert files_of(second) != files_of(first)
    assert second == made(Lake(lake.url + "-empty"), seed, grid)
