"""Names made from content: they must not change unless results do."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickloom.contracts.stages import REQUESTS, STAGES, VERSIONS, stage_before
from tickloom.identity import artifact_id, canonical, digest, sha256_file

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: "\\ud" not in json.dumps(value))

GOLDEN: dict[str, tuple[dict[str, Any], str]] = {
    "download": (
        {"symbols": ["BTCUSDT", "ETHUSDT"], "start_date": "2022-01", "end_date": "2022-03", "venue": "sim"},
        "176ba1163f50652dd13f37c73cfa1eb98ad0c420a0f6b629da6611a159d9d263",
    ),
    "bars": (
        {"spec": {"kind": "dollar", "threshold": 1_000_000}},
        "d280b3b8fe258170f25f25605c55875674fc7a5a8dc26ac17b8e088897005b74",
    ),
    "features": (
        {"features": [{"name": "sma", "timeperiod": [5, 10]}, {"name": "bbands", "timeperiod": 20}]},
        "bfa8aa0c2e402297ed93d702115a0db3710a4de4db7e42b43a3b6229842423cd",
    ),
    "signals": (
        {"long_entry": "sma_{slow} > {fast}", "parameters": {"slow": [20, 50], "fast": [5, 0.5]}},
        "be64f449460833069e042b73d287561ebd03a7c7fc4f2e87584e5029994d0cda",
    ),
    "backtest": (
        {"commission_rate": 0.001, "stop_loss_rate": 0.02, "initial_cash": 1000},
        "8690b3f70510f4b1a736a3548b4fbfb6d9cf6eaf0ccb8bd305e778e1efa4b1ef",
    ),
    "viz": ({}, "0377b680e05d515d1c2cab23e51388a85715a1c4f2ff2e89ccab35c495030932"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_the_id_of_a_request_is_the_one_it_always_had(stage: str) -> None:
    """A change here makes every artifact anew: it is right only together with a changed result or VERSION."""
    asked, pinned = GOLDEN[stage]
    request = REQUESTS[stage].model_validate(asked).canonical()
    assert artifact_id(stage, VERSIONS[stage], request, ["0" * 64]) == pinned


@pytest.mark.parametrize("stage", STAGES)
def test_a_canonical_request_is_read_back_as_itself(stage: str) -> None:
    request = REQUESTS[stage].model_validate(GOLDEN[stage][0])
    again = REQUESTS[stage].model_validate(json.loads(canonical(request.canonical())))
    assert again == request
    assert canonical(again.canonical()) == canonical(request.canonical())


def test_the_stages_stand_in_their_order() -> None:
    assert STAGES == ("download", "bars", "features", "signals", "backtest", "viz")
    assert [stage_before(stage) for stage in STAGES] == [None, *STAGES[:-1]]
    assert set(VERSIONS) == set(STAGES)


def test_canonical_json_has_one_text() -> None:
    assert canonical({"b": 1, "a": [0.1, 1e22, "é", None, True]}) == '{"a":[0.1,1e+22,"é",null,true],"b":1}'.encode()


@given(JSON)
def test_canonical_json_means_what_it_was_made_from(value: Any) -> None:
    assert json.loads(canonical(value)) == value


@given(st.dictionaries(st.text(), st.integers(), min_size=2), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, int], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert digest({key: value[key] for key in keys}) == digest(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_no_json_can_say_has_no_canonical_form(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": value})


@pytest.mark.parametrize(
    ("stage", "version", "request_", "inputs"),
    [("bars", 1, {"a": 1}, []), ("bars", 2, {"a": 1}, ["x"]), ("features", 1, {"a": 1}, ["x"]), ("bars", 1, {}, ["x"])],
)
def test_stage_version_request_and_inputs_are_all_in_the_id(
    stage: str, version: int, request_: dict[str, Any], inputs: list[str]
) -> None:
    assert artifact_id(stage, version, request_, inputs) != artifact_id("bars", 1, {"a": 1}, ["x"])


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(data)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()
