"""What the look-ahead detector said, in the words of the report."""

from services.viz.domain.probe import probe_caveats
from tickloom.contracts.probe import ProbeVerdict

CLEAN = {
    "cuts": 8, "seed": 1, "runs": 16, "rows": 123456, "columns": 40, "symbols": ["BTCUSDT"], "n_traded": 4,
    "n_combos": 64,
}  # fmt: skip
LEAK = {
    "stage": "features", "table": "BTCUSDT", "column": "sma_5", "published": 1_641_171_317_959_000,
    "whole": "3090.868", "other": "nothing",
}  # fmt: skip


def test_a_run_that_was_not_probed_says_nothing_of_it():
    assert probe_caveats(None) == []


def test_a_clean_run_says_in_a_line_how_much_was_looked_at():
    (caveat,) = probe_caveats(ProbeVerdict.model_validate(CLEAN))
    assert caveat.weight == "note"
    assert caveat.text == (
        "No look-ahead found in 8 cuts: 123,456 rows in 40 columns, fills of 4 of 64 trials are the same whatever came "
        "later."
    )
    (caveat,) = probe_caveats(ProbeVerdict.model_validate(CLEAN | {"refused": 2, "n_traded": 0}))
    assert caveat.text.endswith(
        "40 columns are the same whatever came later. 2 runs told nothing, for a stage refused the data."
    )


def test_a_leak_is_an_error_that_names_stage_and_column_first():
    (caveat,) = probe_caveats(ProbeVerdict.model_validate(CLEAN | {"leak": LEAK}))
    assert (caveat.weight, caveat.title) == ("error", "It looks ahead")
    assert caveat.text.startswith("features, column sma_5 (BTCUSDT), published at 2022-01-03 00:55:17 UTC: 3090.868")


def test_a_warm_up_that_is_too_short_is_not_called_look_ahead():
    (caveat,) = probe_caveats(ProbeVerdict.model_validate(CLEAN | {"leak": LEAK | {"kind": "warm_up"}}))
    assert (caveat.weight, caveat.title) == ("error", "A warm-up is too short")
    assert "nothing with data that begin later" in caveat.text
