"""The grid of parameters: its numbering, and whether it fits the rules."""

from typing import Any

import pytest

from tickloom.rules.grammar import parse
from tickloom.rules.grid import check_parameters, check_values, column_names, combinations


def test_the_last_parameter_by_name_varies_fastest() -> None:
    assert combinations({"b": [3, 1], "a": [2, 4]}) == [
        {"a": 2, "b": 3}, {"a": 2, "b": 1}, {"a": 4, "b": 3}, {"a": 4, "b": 1},
    ]  # fmt: skip
    assert combinations({}) == [{}]


def test_the_columns_of_a_rule_are_those_of_every_value_in_their_names() -> None:
    tree = parse("r", "sma_{n} > close AND prev_x_{n}_{m} > {k} * ABS(sma_{n})")
    assert sorted(set(column_names(tree, {"n": [5, 7], "m": [1], "k": [0.5, 2]}))) == [
        "close", "prev_x_5_1", "prev_x_7_1", "sma_5", "sma_7",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, r"r: \{n\} has no values in the grid, whose parameters are: none"),
        ({"n": [1]}, r"r: \{x\} has no values in the grid, whose parameters are: n"),
        ({"n": [1], "x": [1], "y": [1, 2]}, r"no rule uses \{y\}: each trial would be made 2 times"),
        ({"n": [1, 1.5], "x": [1]}, r"r, character 13: \{n\} in a column's name is a whole number, not 1.5"),
        ({"n": [2.0], "x": [1]}, "not 2.0"),
        ({"n": [-1], "x": [1]}, "not -1"),
    ],
)
def test_rules_and_grid_name_the_same_parameters_and_names_hold_whole_numbers(
    parameters: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        check_parameters({"r": parse("r", "a > {x} AND sma_{n} > 0"), "s": parse("s", "a > 1")}, parameters)
    check_parameters({"r": parse("r", "a > {x} AND sma_{n} > 0")}, {"x": [0.5, -1], "n": [0, 7]})


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"symbol": [1]}, "symbol is a column of the table of trials"),
        ({"n": [1], "combo": [1]}, "combo is a column of the table of trials"),
        ({"n": [1, 3, 2, 3.0]}, "3 is given twice for n"),
    ],
)
def test_a_name_that_is_taken_and_a_value_given_twice_are_refused(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_values(parameters)
