"""What a report is told of the searches before it, by the ledger and not by its client."""

from tests.api_gateway.requests import DOWNLOAD, PIPELINE, SIGNALS
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.viz import VizRequest
from tickloom.ledger import ledger_url, runs, transaction
from tickloom.ledger.trials import measured
from tickloom.tries import Tries


def pinned(gateway, body: dict) -> tuple[str, dict]:
    task = gateway.post("/submit_pipeline", json=body).json()["task_id"]
    return task, runs.read(ledger_url(), task)[1][-1].request["earlier_trials"]


def test_a_report_is_told_how_many_trials_other_searches_have_run_on_its_data(gateway):
    grid = {"fast": [5, 6, 7], "slow": [20, 30]}
    features = {"features": [{"name": "sma", "timeperiod": grid["fast"] + grid["slow"]}]}
    other = PIPELINE | {"features": features, "signals": SIGNALS | {"parameters": grid}}
    first, alone = pinned(gateway, PIPELINE)
    assert alone == {}
    assert pinned(gateway, PIPELINE) == (first, {})  # its own trial is not an earlier one: a repeat is the same run
    assert pinned(gateway, other)[1] == {"BTCUSDT": 1, "ETHUSDT": 1}
    again, now = pinned(gateway, PIPELINE)
    assert now == {"BTCUSDT": 6, "ETHUSDT": 6}
    assert again != first


def test_a_client_cannot_talk_its_earlier_trials_away(gateway):
    pinned(gateway, PIPELINE)
    other = PIPELINE | {"backtest": {"stop_loss_rate": 0.03}, "viz": {"earlier_trials": {"BTCUSDT": 0}}}
    assert pinned(gateway, other)[1] == {"BTCUSDT": 1, "ETHUSDT": 1}


def test_a_report_is_told_how_far_apart_the_ratios_of_those_trials_came_out_whatever_its_client_says(gateway):
    task, _ = pinned(gateway, PIPELINE)
    backtest = next(stage for stage in runs.read(ledger_url(), task)[1] if stage.stage == "backtest")
    tries = Tries.of([0.25], 17)
    facts = {"tries": {"BTCUSDT": vars(tries)}}
    made = Manifest(id=backtest.artifact_id, stage="backtest", version=1, request={}, inputs=(), files=(), facts=facts)
    with transaction(ledger_url()) as session:
        measured(session, made)
    claim = {"earlier_ratios": {"BTCUSDT": {"n": 1000, "total": 0.0, "squares": 0.0}}}
    other, _ = pinned(gateway, PIPELINE | {"backtest": {"stop_loss_rate": 0.03}, "viz": claim})
    asked = runs.read(ledger_url(), other)[1][-1].request
    assert asked["earlier_ratios"]["BTCUSDT"] == {"n": 1, "total": 1.0, "squares": 1.0}
    assert asked["earlier_ratios"]["ETHUSDT"] == {"n": 1, "total": 0.0, "squares": 1.0}  # not finished: like luck
    assert VizRequest.model_validate(asked).earlier()["BTCUSDT"] == tries


def test_stages_submitted_one_by_one_count_like_a_pipeline(gateway):
    pinned(gateway, PIPELINE)
    task = gateway.post("/submit_download", json=DOWNLOAD).json()["task_id"]
    for stage in ("bars", "features", "signals"):
        task = gateway.post(f"/submit_{stage}", json=PIPELINE[stage] | {"input": task}).json()["task_id"]
    task = gateway.post("/submit_backtest", json={"stop_loss_rate": 0.01, "input": task}).json()["task_id"]
    report = gateway.post("/submit_viz", json={"input": task}).json()["task_id"]
    assert runs.read(ledger_url(), report)[1][-1].request["earlier_trials"] == {"BTCUSDT": 1, "ETHUSDT": 1}
    assert pinned(gateway, PIPELINE)[1] == {"BTCUSDT": 1, "ETHUSDT": 1}
