"""Rules are read when they are submitted: what no stage could make of them is refused before anything runs."""

import pytest

from tests.api_gateway.test_submit import PIPELINE, SIGNALS, rows


@pytest.mark.parametrize("how", ["", "?dry_run=true"])
def test_every_rule_outside_the_grammar_is_named_by_its_field_with_the_place_and_what_is_allowed(gateway, how):
    signals = SIGNALS | {"long_exit": "close < AVG(close)", "short_entry": "sma_5 == 1"}
    answer = gateway.post(f"/submit_pipeline{how}", json=PIPELINE | {"signals": signals})
    assert answer.status_code == 422
    first, second = answer.json()["errors"]
    assert (first["field"], second["field"]) == ("signals.long_exit", "signals.short_entry")
    assert first["reason"].startswith("character 9: AVG is over all bars at once")
    assert second["reason"].startswith("character 7: equality is written =")
    assert "docs/signals.md lists what a rule may use: columns, numbers" in first["reason"]
    assert rows() == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"long_exit": "prev_sma_{slow} < smaa_5"}, "signals.long_exit: the features do not make smaa_5; did you mean"),
        ({"parameters": {"fast": [5, 6], "slow": [20]}}, "signals.long_entry: the features do not make sma_6"),
        (
            {"long_exit": "close > {cagr}", "parameters": {"fast": [5], "slow": [20], "cagr": [1]}},
            "signals.parameters.cagr: is the name of a metric",
        ),
    ],
)
def test_what_a_later_stage_would_refuse_in_rules_a_pipeline_is_refused_for_at_once(gateway, changes, says):
    answer = gateway.post("/submit_pipeline", json=PIPELINE | {"signals": SIGNALS | changes})
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert rows() == 0


def test_columns_of_bars_are_for_the_stage_to_know(gateway):
    signals = {"signals": SIGNALS | {"long_exit": "no_such_column > prev_close AND prev_sma_5 > 0"}}
    assert gateway.post("/submit_pipeline", json=PIPELINE | signals).status_code == 202
