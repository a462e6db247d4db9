"""Submitting: what is accepted, what is refused, and that a refusal leaves nothing behind."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.api_gateway.requests import BARS, DOWNLOAD, PIPELINE, SIGNALS, rows
from tickloom.identity import digest
from tickloom.ledger import leases, ledger_url, runs
from tickloom.settings import settings

YAML = """
name: x
download: {symbols: [BTCUSDT, ETHUSDT], start_date: 2022-01, end_date: 2022-03}
bars: {spec: {kind: dollar, threshold: 1e6}}
features: {features: [{name: sma, timeperiod: [5, 20]}]}
signals: {long_entry: "sma_{fast} > sma_{slow}", parameters: {fast: [5], slow: [20]}}
backtest: {stop_loss_rate: 0.02}
viz: {}
"""
NOBODY = "0" * 32


def test_the_call_of_the_readme_is_accepted_and_can_be_followed(gateway):
    answer = gateway.post("/submit_download", json=DOWNLOAD)
    assert answer.status_code == 202
    body = answer.json()
    assert answer.headers["location"] == body["status_url"] == f"/status/{body['task_id']}"
    status = gateway.get(body["status_url"]).json()
    assert status["state"] == "PENDING"
    assert status["stage"] == "download"
    assert status["progress"] == 0
    assert leases.unsent(ledger_url()) == [(body["task_id"], "download")]


def test_defaults_are_spelled_out_in_what_is_recorded(gateway):
    task = gateway.post("/submit_download", json=DOWNLOAD).json()["task_id"]
    request = runs.read(ledger_url(), task)[1][0].request
    assert request["venue"] == "sim"
    assert request["data_type"] == "aggTrades"


def test_json_and_yaml_of_the_same_pipeline_are_the_same_run(gateway):
    first = gateway.post("/submit_pipeline", json=PIPELINE).json()
    second = gateway.post("/submit_pipeline", content=YAML, headers={"content-type": "application/yaml"}).json()
    assert first["created"]
    assert not second["created"]
    assert first["task_id"] == second["task_id"]


def test_a_changed_fee_changes_the_backtest_and_not_the_bars(gateway):
    def ids(pipeline: dict) -> list[str]:
        task = gateway.post("/submit_pipeline", json=pipeline).json()["task_id"]
        return [stage["artifact_id"] for stage in gateway.get(f"/status/{task}").json()["stages"]]

    cheap = ids(PIPELINE)
    dear = ids(PIPELINE | {"backtest": {"stop_loss_rate": 0.02, "commission_rate": 0.002}})
    assert cheap[:4] == dear[:4]
    assert cheap[4] != dear[4]
    assert cheap[5] != dear[5]


def test_stages_submitted_one_by_one_make_the_artifacts_of_the_pipeline(gateway):
    whole = gateway.post("/submit_pipeline", json=PIPELINE).json()["task_id"]
    wanted = [stage["artifact_id"] for stage in gateway.get(f"/status/{whole}").json()["stages"]]
    made, source = [], None
    for stage in ("download", "bars", "features", "signals", "backtest", "viz"):
        body = PIPELINE[stage] | ({"input": source} if source else {})
        answer = gateway.post(f"/submit_{stage}", json=body)
        assert answer.status_code == 202, answer.text
        source = answer.json()["task_id"]
        made.append(answer.json()["artifact_id"])
    assert made == wanted


def test_an_idempotency_key_makes_a_repeat_harmless_and_a_reuse_a_conflict(gateway):
    key = {"idempotency-key": "k-1"}
    first = gateway.post("/submit_download", json=DOWNLOAD, headers=key).json()["task_id"]
    assert gateway.post("/submit_download", json=DOWNLOAD, headers=key).json()["task_id"] == first
    other = gateway.post("/submit_download", json=DOWNLOAD | {"data_type": "trades"}, headers=key)
    assert other.status_code == 409
    assert other.json()["type"].endswith("key-reused")


def day(offset: int) -> str:
    return (datetime.now(UTC) + timedelta(days=offset)).date().isoformat()


BAD = {
    "end before start": ("download", DOWNLOAD | {"end_date": "2021-12"}, "before start_date"),
    "month in the future": ("download", DOWNLOAD | {"start_date": "2999-01", "end_date": "2999-02"}, "future"),
    "today": ("download", DOWNLOAD | {"start_date": day(-2), "end_date": day(0)}, "is not over"),
    "no such day": ("download", DOWNLOAD | {"start_date": "2022-02-30"}, "not a day of the calendar"),
    "not a day": ("download", DOWNLOAD | {"start_date": "last week"}, "start_date"),
    "eleven years": ("download", DOWNLOAD | {"start_date": "2010-01"}, "ten years"),
    "path in a symbol": ("download", DOWNLOAD | {"symbols": ["../../etc/passwd"]}, "not a path"),
    "NUL in a symbol": ("download", DOWNLOAD | {"symbols": ["BTC\0USDT"]}, "symbols"),
    "the same symbol twice": ("download", DOWNLOAD | {"symbols": ["BTCUSDT", "BTCUSDT"]}, "once"),
    "no symbols": ("download", DOWNLOAD | {"symbols": []}, "symbols"),
    "a symbol that is no text": ("download", DOWNLOAD | {"symbols": [7]}, "symbols"),
    "unknown venue": ("download", DOWNLOAD | {"venue": "mtgox"}, "venue"),
    "unknown field": ("download", DOWNLOAD | {"owner_id": 1}, "owner_id"),
    "klines without an interval": ("download", DOWNLOAD | {"data_type": "klines"}, "interval"),
    "file that is not there": ("download", {"venue": "file", "files": {"A": "no.csv"}}, "there is no file"),
    "file outside": ("download", {"venue": "file", "files": {"A": "../ledger.sqlite"}}, "must be a plain path"),
    "absolute file": ("download", {"venue": "file", "files": {"A": "/etc/passwd"}}, "must be a plain path"),
    "negative threshold": ("bars", {"spec": {"kind": "volume", "threshold": -1}}, "threshold"),
    "endless threshold": ("bars", {"spec": {"kind": "volume", "threshold": "Infinity"}}, "threshold"),
    "unknown kind of bar": ("bars", {"spec": {"kind": "kagi", "threshold": 1}}, "kind"),
    "period zero": ("features", {"features": [{"name": "sma", "timeperiod": 0}]}, "timeperiod"),
    "true as a number": ("features", {"features": [{"name": "sma", "timeperiod": True}]}, "timeperiod"),
    "unknown feature": ("features", {"features": [{"name": "crystal_ball", "timeperiod": 5}]}, "name"),
    "a billion combinations": (
        "signals",
        {"long_entry": "{a} > {b} + {c}", "parameters": {name: list(range(1000)) for name in "abc"}},
        "1,000,000,000 combinations",
    ),
    "an aggregate": ("signals", {"long_entry": "close > AVG(close)"}, "long_entry: character 9: AVG is over all bars"),
    "half a rule": (
        "signals",
        {"short_entry": "close >"},
        "short_entry: character 8: a column or a number",
    ),
    "a function we lack": ("signals", {"long_entry": "SQRT(close) > 1"}, "there are ABS, GREATEST, LEAST"),
    "a deep rule": ("signals", {"long_entry": "NOT " * 33 + "a > 1"}, "long_entry: it is nested more than 32 deep"),
    "no such parameter": ("signals", {"long_entry": "sma_{n} > 1"}, "parameters: long_entry: {n} has no values"),
    "a parameter without use": ("signals", {"long_entry": "a > 1", "parameters": {"n": [1]}}, "no rule uses {n}"),
    "half a column": ("signals", {"long_entry": "sma_{n} > 1", "parameters": {"n": [1.5]}}, "a whole number, not 1.5"),
    "a value twice": ("signals", {"strategy": "x", "parameters": {"n": [3, 4, 3.0]}}, "3 is given twice for n"),
    "a name that is taken": ("signals", {"long_entry": "a > {combo}", "parameters": {"combo": [1]}}, "another name"),
    "no entry": ("signals", {"long_exit": "close > 1"}, "long_entry or short_entry"),
    "negative fee": ("backtest", {"commission_rate": -0.001}, "commission_rate"),
    "fee of all": ("backtest", {"commission_rate": 1}, "commission_rate"),
    "no money": ("backtest", {"initial_cash": 0}, "initial_cash"),
    "text as a number": ("backtest", {"commission_rate": "0.1"}, "commission_rate"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_refused_with_what_which_and_what_next_and_leaves_no_row(gateway, name):
    stage, body, says = BAD[name]
    if stage != "download":
        source = gateway.post("/submit_download", json=DOWNLOAD).json()["task_id"]
        body = body | {"input": source}
    before = rows()
    answer = gateway.post(f"/submit_{stage}", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert says in problem["detail"]
    assert problem["next"]
    assert rows() == before


@pytest.mark.parametrize(
    "body",
    [
        b'{"commission_rate": NaN, "input": "%s"}',
        b'{"commission_rate": 1e400, "input": "%s"}',
        b'{"commission_rate": "\\ud800", "input": "%s"}',
        b'{"initial_cash": ' + b"9" * 5000 + b', "input": "%s"}',
        b'{"objective": ' + b"[" * 100_000 + b"]" * 100_000 + b', "input": "%s"}',
        b'{"commission_rate": 0.1, "input": "%s"',
        b'["%s"]',
        b"\xff\xfe%s",
        b"",
    ],
)
def test_M16_hostile_bodies_are_refused_never_500(gateway, body):
    source = gateway.post("/submit_download", json=DOWNLOAD).json()["task_id"].encode()
    for route in ("/submit_backtest", "/submit_pipeline"):
        content = body.replace(b"%s", source)
        answer = gateway.post(route, content=content, headers={"content-type": "application/json"})
        assert 400 <= answer.status_code < 500, answer.text
    assert rows() == 1


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1]\nb: *a",
        "name: !!python/object/apply:os.system ['true']",
        "name: [",
        "- 1",
        "name: .nan",
        "\x00",
        "download: {symbols: [BTCUSDT], start_date: .inf}",
    ],
)
def test_S19_hostile_yaml_is_refused(gateway, text):
    answer = gateway.post("/submit_pipeline", content=text, headers={"content-type": "application/yaml"})
    assert answer.status_code in (400, 422)
    assert answer.json()["next"]
    assert rows() == 0


def test_a_body_of_200_MB_is_refused_before_it_is_read(gateway):
    answer = gateway.post("/submit_pipeline", content=b" " * (200 << 20), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["next"]


def test_other_content_types_are_refused(gateway):
    for kind in ("text/html", "application/xml", ""):
        answer = gateway.post("/submit_pipeline", content=YAML, headers={"content-type": kind})
        assert answer.status_code == 415


def test_a_pipeline_with_a_stage_left_out_is_refused_by_its_name(gateway):
    broken = {stage: part for stage, part in PIPELINE.items() if stage != "features"}
    answer = gateway.post("/submit_pipeline", json=broken)
    assert answer.status_code == 422
    assert "features" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ({"bars": {"spec": {"kind": "dollar", "threshold": 1000}}}, "bars.spec.kind"),
        ({"bars": {"specs": {"d": {"kind": "dollar_run", "expected_trades": 50}}}}, "bars.specs.d.kind"),
        ({"backtest": {"impact": {"kind": "square_root"}}}, "backtest.impact"),
    ],
)
def test_what_contracts_of_coinm_cannot_give_is_refused_before_anything_runs(gateway, part, named):
    coinm = {"download": DOWNLOAD | {"symbols": ["BTCUSD_PERP"], "market": "coinm"}}
    bars = {"bars": {"spec": {"kind": "volume", "threshold": 1000}}}
    answer = gateway.post("/submit_pipeline", json=PIPELINE | bars | coinm | part)
    assert answer.status_code == 422
    assert named in answer.json()["detail"]
    assert "COIN-M" in answer.json()["detail"]
    assert rows() == 0


@pytest.mark.parametrize(
    ("bars", "says"),
    [
        ({"spec": {"kind": "tick", "threshold": 5}}, "bars.spec.kind: klines become time bars"),
        ({"spec": {"kind": "time", "interval": "5m"}}, "bars.spec.interval: 5m is not a multiple of the klines' 15m"),
        ({"specs": {"h": {"kind": "time", "interval": "1h", "microstructure": True}}}, "bars.specs.h.microstructure:"),
    ],
)
def test_bars_that_klines_cannot_become_are_refused_before_anything_runs(gateway, bars, says):
    klines = {"download": DOWNLOAD | {"data_type": "klines", "interval": "15m"}}
    answer = gateway.post("/submit_pipeline", json=PIPELINE | klines | {"bars": bars})
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert rows() == 0


def test_more_holdings_than_symbols_are_refused_before_anything_runs(gateway):
    backtest = {"portfolio": {"limits": {"min_holdings": 9}}}
    answer = gateway.post("/submit_pipeline", json=PIPELINE | {"backtest": backtest})
    assert answer.status_code == 422
    assert "min_holdings: 9 cannot be held" in answer.json()["detail"]
    assert rows() == 0


def test_of_several_kinds_of_bars_a_pipeline_says_which_one_it_goes_on_with(gateway):
    specs = {"dollars": {"kind": "dollar", "threshold": 1000}, "hours": {"kind": "time", "interval": "1h"}}
    several = PIPELINE | {"bars": {"specs": specs}}
    answer = gateway.post("/submit_pipeline", json=several)
    assert answer.status_code == 422
    assert "features.bars" in answer.json()["detail"]
    assert "choose one by name: dollars, hours" in answer.json()["detail"]
    chosen = several | {"features": PIPELINE["features"] | {"bars": "hours"}}
    assert gateway.post("/submit_pipeline", json=chosen).status_code == 202
    without = {stage: PIPELINE[stage] for stage in ("download",)} | {"bars": {"specs": specs}}
    assert gateway.post("/submit_pipeline", json=without).status_code == 202


@pytest.mark.parametrize("source", [NOBODY, "f" * 64])
def test_an_unknown_input_is_404(gateway, source):
    answer = gateway.post("/submit_bars", json=BARS | {"input": source})
    assert answer.status_code == 404
    assert source in answer.json()["detail"]


def test_an_input_of_the_wrong_stage_is_refused_by_name(gateway):
    source = gateway.post("/submit_download", json=DOWNLOAD).json()["task_id"]
    answer = gateway.post("/submit_signals", json=SIGNALS | {"input": source})
    assert answer.status_code == 422
    assert "makes no features" in answer.json()["detail"]


def test_a_file_is_pinned_by_its_content_so_that_a_changed_file_is_another_computation(gateway):
    body = {"venue": "file", "data_type": "klines", "interval": "15m", "files": {"BTCUSDT": "k.csv"}}
    file = settings().import_dir / "k.csv"
    file.write_text("one")
    first = gateway.post("/submit_download", json=body).json()
    assert gateway.post("/submit_download", json=body).json()["task_id"] == first["task_id"]
    file.write_text("two")
    second = gateway.post("/submit_download", json=body).json()
    assert second["artifact_id"] != first["artifact_id"]
    pinned = {**body, "files": {"BTCUSDT": {"path": "k.csv", "sha256": digest("x")}}}
    assert gateway.post("/submit_download", json=pinned).status_code == 422


def test_a_stop_by_a_feature_that_the_pipeline_does_not_make_is_refused_at_once(gateway):
    answer = gateway.post("/submit_pipeline", json=PIPELINE | {"backtest": {"stop_loss": {"column": "atr_14"}}})
    assert answer.status_code == 422
    assert "backtest.stop_loss.column: the features do not make atr_14" in answer.json()["detail"]


def test_a_pipeline_with_a_probe_is_refused_and_it_says_who_carries_it_out(gateway):
    answer = gateway.post("/submit_pipeline", json=PIPELINE | {"probe": {"cuts": 3}})
    assert answer.status_code == 422
    assert "tickloom run FILE" in answer.json()["detail"]


def test_a_link_out_of_the_import_folder_is_not_followed(gateway, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (settings().import_dir / "link").symlink_to(tmp_path / "secret")
    answer = gateway.post("/submit_download", json={"venue": "file", "files": {"A": "link"}})
    assert answer.status_code == 422
    assert "leads out" in answer.json()["detail"]


def test_every_route_has_a_description_and_every_body_an_example(gateway):
    schema = gateway.get("/openapi.json").json()
    text = json.dumps(schema)
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), (path, method)
            assert operation.get("summary"), (path, method)
    for name in ("SubmitBars", "SubmitFeatures", "SubmitSignals", "DownloadRequest", "PipelineRequest"):
        assert "examples" in json.dumps(schema["components"]["schemas"][name]), name
    assert "#/$defs" not in text


def test_the_examples_of_the_openapi_document_are_accepted_as_they_are(gateway):
    schema = gateway.get("/openapi.json").json()
    source = gateway.post("/submit_download", json=DOWNLOAD).json()["task_id"]
    for stage in ("download", "bars", "features", "signals", "backtest", "viz"):
        model = schema["paths"][f"/submit_{stage}"]["post"]["requestBody"]["content"]["application/json"]
        example = model["example"]
        if stage != "download":
            assert "input" in example
            example = example | {"input": source}
        answer = gateway.post(f"/submit_{stage}", json=example)
        assert answer.status_code == 202, (stage, answer.text)
        source = answer.json()["task_id"]


def test_a_probe_over_http_is_refused_with_the_commands_that_carry_it_out(gateway):
    body = {"download": {"symbols": ["BTCUSDT"], "start_date": "2022-01", "end_date": "2022-01"}, "probe": {"cuts": 8}}
    answer = gateway.post("/submit_pipeline", json=body)
    assert answer.status_code == 422
    for words in ("tickloom run FILE", "tickloom probe FILE", "Leave it out", "docs/probe.md"):
        assert words in answer.text
    assert runs.listing(ledger_url(), state=None, kind=None, limit=10, before=None) == []
