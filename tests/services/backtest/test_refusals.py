"""What the backtest stage refuses, by name."""

from typing import Any

import pyarrow as pa
import pytest

from services.backtest.api import app
from services.signals.job import SignalsJob
from tests.services.backtest.grids import request, signals_in
from tests.services.signals.stages import SMAS, bars_table, events, features_artifact, served, stage_call
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.http import Report
from tickloom.lake import Lake


def test_a_stop_by_a_column_that_the_features_do_not_have_is_a_named_problem(lake: Lake, signals: Manifest) -> None:
    body = request(stop_loss_rate=None, stop_loss={"column": "sma_9"})
    detail = failed(lake, stage_call("backtest", body, signals))["detail"]
    assert "stop_loss.column" in detail
    assert "do not make sma_9; did you mean sma_8" in detail


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"stop_loss_rate": 0.02, "stop_loss": {"column": "atr_14"}}, "one stop-loss"),
        ({"sizing": {"kind": "risk_per_trade", "risk": 0.01}}, "stop_loss_rate"),
        ({"leverage": 3.0}, "maintenance_rate"),
        ({"leverage": 20.0, "maintenance_rate": 0.05}, "liquidated at once"),
        ({"entry": {"kind": "limit", "offset_rate": 0.1, "bars": 0}}, "bars"),
        ({"take_profit_rate": 0.0}, "take_profit"),
    ],
)
def test_options_that_do_not_go_together_are_refused(body: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        BacktestRequest.model_validate(body)


def failed(lake: Lake, call: Any) -> dict[str, Any]:
    with served(app) as url:
        last = events(url, "backtest", call)[-1]
    assert last["event"] == "failed"
    assert lake.find(call.artifact_id) is None
    return dict(last["problem"])


def test_bars_with_an_impossible_price_are_a_named_problem(lake: Lake) -> None:
    bars = bars_table(50)
    broken = bars.set_column(bars.schema.get_field_index("low"), "low", pa.array([0.0] * 50))
    features = features_artifact(lake, {"BTCUSDT": broken}, SMAS)
    rules = SignalsRequest.model_validate({"long_entry": "close > 0"})
    signals = SignalsJob().run(stage_call("signals", rules, features), Report())
    problem = failed(lake, stage_call("backtest", request(), signals))
    assert problem["type"] == "urn:tickloom:problem:bad-prices"
    assert "BTCUSDT: low of bar 0 is 0.0" in problem["detail"]


def test_an_input_that_is_not_signals_is_a_named_problem(lake: Lake, signals: Manifest) -> None:
    features = lake.ancestor(signals, "features")
    assert "signals are needed" in failed(lake, stage_call("backtest", request(), features))["detail"]


def test_a_parameter_called_like_a_metric_is_a_named_problem(lake: Lake) -> None:
    signals = signals_in(
        lake, long_entry="close > {cagr}", long_exit=None, short_entry=None, short_exit=None, parameters={"cagr": [1]}
    )
    assert "is the name of a metric" in failed(lake, stage_call("backtest", request(), signals))["detail"]


@pytest.mark.parametrize(
    "body", [{"commission_rate": -0.1}, {"initial_cash": 0}, {"stop_loss_rate": 1.0}, {"leverage": 3}]
)
def test_a_request_that_cannot_be_is_a_named_problem(body: dict[str, Any], lake: Lake, signals: Manifest) -> None:
    call = stage_call("backtest", request(), signals)
    problem = failed(lake, call.model_copy(update={"request": body, "artifact_id": "1" * 64}))
    assert problem["status"] == 422
    assert next(iter(body)) in problem["detail"]
