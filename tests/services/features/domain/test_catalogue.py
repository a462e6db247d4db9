"""The catalogue and the contract name the same features, and columns have one name each."""

from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError

from services.features.domain.catalogue import CATALOGUE, INPUTS, compute
from services.features.kernels.bbands import bbands
from tests.services.features.bars import EVERY_FEATURE
from tests.services.features.kernels.cases import walk
from tickloom.contracts.features import FeatureSpec, FeaturesRequest
from tickloom.identity import digest


def request(*features: dict[str, object]) -> FeaturesRequest:
    return FeaturesRequest.model_validate({"features": list(features)})


def market(n_bars: int) -> dict[str, np.ndarray]:
    return dict(zip(INPUTS, (*walk(n_bars, 1), walk(n_bars, 2)[2]), strict=True))


def test_every_feature_that_may_be_asked_for_can_be_computed_and_is_tested_at_the_stage() -> None:
    union, _ = get_args(FeatureSpec)
    names = {get_args(spec.model_fields["name"].annotation)[0] for spec in get_args(union)}
    assert names == set(CATALOGUE) == {spec.name for spec in EVERY_FEATURE.features}


def test_columns_come_in_the_order_of_the_request() -> None:
    asked = request({"name": "bbands", "timeperiod": 5}, {"name": "sma", "timeperiod": [20, 3]})
    names = [column.name for column in compute(market(40), asked.features)]
    assert names == ["bbands_upper_5", "bbands_middle_5", "bbands_lower_5", "sma_20", "sma_3"]
    assert tuple(names) == asked.columns()


def test_the_deviations_of_a_request_reach_its_bands() -> None:
    bars = market(40)
    asked = request({"name": "bbands", "timeperiod": 5, "nbdevup": 1, "nbdevdn": 3.5})
    expected = bbands(bars["close"], 5, 1.0, 3.5)
    for column, values in zip(compute(bars, asked.features), expected, strict=True):
        np.testing.assert_array_equal(column.values, values)


def test_a_feature_is_the_same_alone_or_among_others_in_any_order() -> None:
    bars = market(200)
    together = {column.name: column.values.tobytes() for column in compute(bars, EVERY_FEATURE.features)}
    backwards = {column.name: column.values.tobytes() for column in compute(bars, EVERY_FEATURE.features[::-1])}
    alone = {c.name: c.values.tobytes() for spec in EVERY_FEATURE.features for c in compute(bars, [spec])}
    assert together == backwards == alone


@pytest.mark.parametrize(
    ("name", "timeperiod", "warmup", "settled"),
    [
        ("sma", 20, 19, 19),
        ("sma", 1, 0, 0),
        ("ema", 1, 0, 0),
        ("ema", 20, 19, 19 + 277),  # (19/21)**277 <= 1e-12 < (19/21)**276
        ("rsi", 14, 14, 14 + 373),  # (13/14)**373 <= 1e-12 < (13/14)**372
        ("atr", 1, 1, 1),
        ("volatility", 10, 10, 10),
    ],
)
def test_warm_up_and_settling_are_these_numbers_of_bars(name: str, timeperiod: int, warmup: int, settled: int) -> None:
    (column,) = compute(market(5), request({"name": name, "timeperiod": timeperiod}).features)
    assert (column.warmup, column.settled) == (warmup, settled)


def test_a_number_and_a_list_of_that_number_are_one_request() -> None:
    one, many = request({"name": "sma", "timeperiod": 5}), request({"name": "sma", "timeperiod": [5]})
    assert one == many
    assert digest(one.canonical()) == digest(many.canonical())
    assert FeaturesRequest.model_validate(one.canonical()) == one


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ([], "at least 1 item"),
        ([{"name": "sma", "timeperiod": [5, 6, 5]}], "asked for more than once: sma_5"),
        ([{"name": "bbands", "timeperiod": 5}, {"name": "bbands", "timeperiod": 5, "nbdevup": 3}], "bbands_upper_5"),
        ([{"name": "sma", "timeperiod": []}], "at least 1 item"),
        ([{"name": "sma", "timeperiod": 0}], "greater than or equal to 1"),
        ([{"name": "sma", "timeperiod": 10**9}], "less than or equal to 100000"),
        ([{"name": "sma", "timeperiod": 2.5}], "valid"),
        ([{"name": "sma", "timeperiod": True}], "valid integer"),
        ([{"name": "bbands", "timeperiod": 5, "nbdevup": float("nan")}], "finite"),
        ([{"name": "sma"}], "Field required"),
        ([{"name": "sma", "timeperiod": 5, "shift": -1}], "Extra inputs"),
        ([{"name": "sma", "timeperiod": list(range(1, 1001))}, {"name": "mom", "timeperiod": 1}], "1,001 columns"),
    ],
)
def test_a_request_that_cannot_be_is_refused_with_its_reason(features: list[object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        FeaturesRequest.model_validate({"features": features})
