import csv
import hashlib
from io import BytesIO, StringIO

import numpy as np
import orjson
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from services.viz.adapters.inputs import UnreadableRun
from services.viz.domain.run import METRICS
from services.viz.job import VizJob
from tests.services.viz.lakes import Builder, Market, Setting, viz_call
from tickloom.contracts.artifact import Manifest
from tickloom.errors import InvalidRequest, StageCancelled, UnknownArtifact
from tickloom.http import Report, create_app, stage_router

FILES = ["report.html", "equity.png", "drawdown.png", "summary.csv", "results.json"]


def read(builder, manifest, name):
    return builder.lake.read_bytes(builder.lake.entry(manifest, name))


def replaced(builder, backtest, name, content):
    """Return the same backtest with one file made otherwise (None: left out), under an id of its own."""
    files = [entry for entry in backtest.files if entry.name != name]
    if isinstance(content, bytes):
        files.append(builder.lake.add_bytes(name, content))
    elif content is not None:
        files.append(builder.lake.add_table(name, content))
    identity = hashlib.sha256(repr((name, content)).encode()).hexdigest()
    return builder.lake.put_manifest(backtest.model_copy(update={"id": identity, "files": tuple(files)}))


def table(builder, backtest, name):
    return builder.lake.read_table(builder.lake.entry(backtest, name))


def test_the_five_files_are_published_and_named_by_the_call(builder, backtest, drawn):
    assert [entry.name for entry in drawn.files] == FILES
    assert drawn.id == viz_call(backtest).artifact_id
    assert drawn.inputs == (backtest.id,)
    assert drawn.facts["symbols"] == ["BTCUSDT", "ETHUSDT"]


def test_the_same_run_in_another_lake_has_the_same_bytes(tmp_path, backtest, drawn):
    from tests.services.viz.conftest import SMALL

    other = Builder(tmp_path / "lake")
    again = VizJob(other.lake).run(viz_call(other.backtest(SMALL)), Report())
    assert again == drawn


def test_a_report_that_exists_is_not_drawn_again(builder, backtest, drawn):
    report = Report()
    report.cancelled.set()  # any progress would raise
    assert VizJob(builder.lake).run(viz_call(backtest), report) == drawn


def test_summary_has_every_trial_with_all_digits(builder, backtest, drawn):
    rows = list(csv.DictReader(StringIO(read(builder, drawn, "summary.csv").decode(), newline="")))
    grid = table(builder, backtest, "grid.parquet").to_pylist()
    assert len(rows) == len(grid) == 18
    for row, trial in zip(rows, grid, strict=True):
        assert (row["symbol"], int(row["combo"]), int(row["fast"])) == (trial["symbol"], trial["combo"], trial["fast"])
        for name in METRICS:
            assert (float(row[name]) if row[name] else None) == trial[name]
    assert [row["is_best"] for row in rows].count("true") == 2


def test_results_name_the_chain_and_the_best_trial(builder, backtest, drawn):
    results = orjson.loads(read(builder, drawn, "results.json"))
    assert [step["stage"] for step in results["lineage"]] == ["download", "bars", "features", "signals", "backtest"]
    assert results["lineage"][-1]["id"] == backtest.id
    for symbol, best in backtest.facts["best"].items():
        found = results["symbols"][symbol]["best"]
        assert (found["combo"], found["parameters"]) == (best["combo"], best["parameters"])
        assert {name: best["metrics"][name] for name in METRICS} == found["metrics"]


@pytest.mark.parametrize("name", ["equity.png", "drawdown.png"])
def test_pictures_show_something_and_tell_nothing_of_the_machine(builder, drawn, name):
    picture = Image.open(BytesIO(read(builder, drawn, name)))
    assert picture.size[0] == 1440
    assert len(np.unique(np.asarray(picture.convert("L")))) > 50
    assert "Software" not in picture.info


@pytest.mark.parametrize(
    "setting",
    [
        Setting(markets=[Market("BTCUSDT", n_bars=1)], parameters={}),
        Setting(markets=[Market("BTCUSDT", n_bars=3)], parameters={}),
        Setting(markets=[Market("BTCUSDT", n_bars=60, flat=True)], parameters={"fast": (3, 5)}),
        Setting(
            markets=[Market("BTCUSDT", n_bars=300)], parameters={"fast": (3, 5, 8), "slow": (20, 30), "band": (0, 1)}
        ),
        Setting(markets=[Market("BTCUSDT", n_bars=900, every_us=200_000, irregular=True)]),
    ],
    ids=["one bar", "three bars", "a flat market", "three parameters", "several bars a second"],
)
def test_small_and_odd_runs_are_drawn_whole(draw, setting):
    files = draw(setting)
    assert sorted(files) == sorted(FILES)
    assert all(files.values())


def test_an_input_that_is_no_backtest_is_named(builder, backtest):
    signals = builder.lake.ancestor(backtest, "signals")
    with pytest.raises(UnreadableRun, match="comes from the signals stage"):
        VizJob(builder.lake).run(viz_call(signals), Report())


def test_an_unknown_input_is_named(builder):
    nobody = Manifest(id="0" * 64, stage="backtest", version=1, request={}, inputs=(), files=())
    with pytest.raises(UnknownArtifact, match="0000"):
        VizJob(builder.lake).run(viz_call(nobody), Report())


@pytest.mark.parametrize("column", ["sharpe_ratio", "fast", "combo"])
def test_a_column_missing_from_the_grid_is_named(builder, backtest, column):
    grid = table(builder, backtest, "grid.parquet").drop_columns([column])
    broken = replaced(builder, backtest, "grid.parquet", grid)
    with pytest.raises(UnreadableRun, match=column):
        VizJob(builder.lake).run(viz_call(broken), Report())


def test_a_best_trial_that_no_file_names_is_an_error(builder, backtest):
    broken = replaced(builder, backtest, "results.json", b'{"best": {}}')
    with pytest.raises(UnreadableRun, match="best trial of BTCUSDT"):
        VizJob(builder.lake).run(viz_call(broken), Report())


def test_equity_at_other_times_than_the_bars_is_an_error(builder, backtest):
    equity = table(builder, backtest, "equity/BTCUSDT.parquet").slice(1)
    broken = replaced(builder, backtest, "equity/BTCUSDT.parquet", equity)
    with pytest.raises(UnreadableRun, match="closes of the bars"):
        VizJob(builder.lake).run(viz_call(broken), Report())


def test_equity_that_is_not_finite_is_an_error(builder, backtest):
    equity = table(builder, backtest, "equity/BTCUSDT.parquet")
    values = equity["equity"].to_numpy().copy()
    values[7] = np.nan
    spoilt = equity.set_column(equity.column_names.index("equity"), "equity", pa.array(values))
    with pytest.raises(UnreadableRun, match="not finite"):
        VizJob(builder.lake).run(viz_call(replaced(builder, backtest, "equity/BTCUSDT.parquet", spoilt)), Report())


def test_a_request_with_a_bad_field_names_it(builder, backtest):
    call = viz_call(backtest)
    bad = call.model_copy(update={"request": {"title": "", "max_candles": 1}})
    with pytest.raises(InvalidRequest, match="max_candles"):
        VizJob(builder.lake).run(bad, Report())


def test_an_id_of_other_work_is_refused(builder, backtest):
    call = viz_call(backtest, title="another").model_copy(update={"artifact_id": "1" * 64})
    with pytest.raises(InvalidRequest, match="artifact_id"):
        VizJob(builder.lake).run(call, Report())


def test_a_cancelled_report_publishes_nothing(builder, backtest):
    report, call = Report(), viz_call(backtest, title="never drawn")
    report.cancelled.set()
    with pytest.raises(StageCancelled):
        VizJob(builder.lake).run(call, report)
    assert builder.lake.find(call.artifact_id) is None


def test_over_http_it_tells_its_progress_and_then_the_manifest(builder, backtest, home):
    app = create_app("viz", stage_router("viz", VizJob(builder.lake)))
    answer = TestClient(app).post("/v1/viz", json=viz_call(backtest, title="over http").model_dump(mode="json"))
    events = [orjson.loads(line) for line in answer.text.splitlines()]
    assert [event["done"] for event in events if event["event"] == "progress"] == [0, 1, 2, 3, 4]
    assert events[-1]["event"] == "finished"
    assert events[-1]["manifest"]["facts"]["title"] == "over http"
