"""Rules: what they mean against a twin, of every bar and every parameter set."""

import math
import string
from collections.abc import Callable
from operator import and_
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.signals.domain.program import Program, clean_columns
from services.signals.domain.rules import Rules
from tests.naive import signals as naive
from tickloom.contracts.signals import SignalsRequest
from tickloom.errors import BadRequest
from tickloom.rules.binding import parameters_of
from tickloom.rules.errors import UnknownColumn
from tickloom.rules.grammar import parse

NAN, INF = math.nan, math.inf
COLUMNS = {
    "a": [1.0, -2.5, NAN, 0.0, 4.0, 1e300, INF, 3.0],
    "b": [1.0, 3.0, 2.0, 0.0, NAN, 1e300, 5.0, -3.0],
    "sma_5": [2.0, 2.0, 2.0, -1.0, 0.5, 7.0, -INF, 0.0],
}


def said(text: str, **parameters: float) -> list[bool | None]:
    """What a rule says of each row of COLUMNS."""
    columns = {name: np.array(values) for name, values in COLUMNS.items()}
    tree = parse("long_entry", text)
    names = Rules({"long_entry": tree}, False).columns([parameters], list(columns))
    program = Program(names)
    row = program.add(tree, parameters)
    words = program.run(clean_columns(names, columns, 8))[row]
    holds, fails = np.unpackbits(words.view(np.uint8), axis=1, count=8, bitorder="little").astype(bool).tolist()
    assert not any(map(and_, holds, fails))
    return [True if is_true else False if is_false else None for is_true, is_false in zip(holds, fails, strict=True)]


# A text and what it means, drawn together: the parser is not asked what the parser should say.
Row = dict[str, float | None]
Meaning = Callable[[Row], Any]


def _cell(name: str) -> Meaning:
    return lambda row: row[name]


def _negative(of: Meaning) -> Meaning:
    return lambda row: None if of(row) is None else -of(row)


def _absolute(of: Meaning) -> Meaning:
    return lambda row: None if of(row) is None else abs(of(row))


def _extreme(pick: Callable[..., float], a: Meaning, b: Meaning) -> Meaning:
    # Infinite arguments are beyond the promise (docs/signals.md): a row with one is compared as unknown here.
    return lambda row: None if naive.missing(a(row)) or naive.missing(b(row)) else pick(a(row), b(row))


def _numbers(inner: st.SearchStrategy[tuple[str, Meaning]]) -> st.SearchStrategy[tuple[str, Meaning]]:
    def joined(a: tuple[str, Meaning], operator: str, b: tuple[str, Meaning]) -> tuple[str, Meaning]:
        return f"({a[0]} {operator} {b[0]})", lambda row: naive.arithmetic(operator, a[1](row), b[1](row))

    return st.one_of(
        st.builds(joined, inner, st.sampled_from("+-*/%"), inner),
        inner.map(lambda a: (f"(- {a[0]})", _negative(a[1]))),
        inner.map(lambda a: (f"abs({a[0]})", _absolute(a[1]))),
    )


_columns = st.sampled_from(sorted(COLUMNS)).flatmap(
    lambda name: st.sampled_from([(name, _cell(name)), (f"prev_{name}", _cell(f"prev_{name}"))])
)
_literals = st.sampled_from(["0", "1", "2.5", ".5", "1e-3", "3E2"]).map(lambda text: (text, lambda row: float(text)))
numbers = st.recursive(_columns | _literals, _numbers, max_leaves=4)
extremes = st.builds(
    lambda name, a, b: (f"{name}({a[0]}, {b[0]})", _extreme(max if name == "GREATEST" else min, a[1], b[1])),
    st.sampled_from(["GREATEST", "LEAST"]), _columns, _columns,
)  # fmt: skip
operands = numbers | extremes


def _compared(a: tuple[str, Meaning], operator: str, b: tuple[str, Meaning]) -> tuple[str, Meaning]:
    return f"{a[0]} {operator} {b[0]}", lambda row: naive.compare(operator, a[1](row), b[1](row))


def _between(
    a: tuple[str, Meaning], low: tuple[str, Meaning], high: tuple[str, Meaning], negated: bool
) -> tuple[str, Meaning]:
    def meaning(row: Row) -> bool | None:
        inside = naive.conjunction(
            naive.compare(">=", a[1](row), low[1](row)), naive.compare("<=", a[1](row), high[1](row))
        )
        return naive.negation(inside) if negated else inside

    return f"{a[0]} {'NOT ' * negated}BETWEEN {low[0]} AND {high[0]}", meaning


def _is_null(name: str, negated: bool) -> tuple[str, Meaning]:
    return f"{name} IS {'NOT ' * negated}NULL", lambda row: naive.missing(row[name]) is not negated


def _truths(inner: st.SearchStrategy[tuple[str, Meaning]]) -> st.SearchStrategy[tuple[str, Meaning]]:
    def both(a: tuple[str, Meaning], b: tuple[str, Meaning]) -> tuple[str, Meaning]:
        return f"({a[0]}) and ({b[0]})", lambda row: naive.conjunction(a[1](row), b[1](row))

    def either(a: tuple[str, Meaning], b: tuple[str, Meaning]) -> tuple[str, Meaning]:
        return f"({a[0]}) OR ({b[0]})", lambda row: naive.disjunction(a[1](row), b[1](row))

    negated = inner.map(lambda a: (f"NOT ({a[0]})", lambda row: naive.negation(a[1](row))))
    return st.builds(both, inner, inner) | st.builds(either, inner, inner) | negated


comparisons = st.builds(_compared, operands, st.sampled_from(["<", "<=", ">", ">=", "=", "<>"]), operands)
betweens = st.builds(_between, operands, operands, operands, st.booleans())
truths = st.recursive(
    comparisons | betweens | st.builds(_is_null, st.sampled_from(sorted(COLUMNS)), st.booleans()), _truths, max_leaves=5
)


@settings(max_examples=400, deadline=None)
@given(rule=truths)
def test_a_rule_says_what_its_twin_says_of_every_bar(rule: tuple[str, Meaning]) -> None:
    text, meaning = rule
    clean = {n: [None if naive.missing(v) else v for v in values] for n, values in COLUMNS.items()}
    rows = [
        {n: values[i] for n, values in clean.items()}
        | {f"prev_{n}": values[i - 1] if i else None for n, values in clean.items()}
        for i in range(8)
    ]
    assert said(text) == [meaning(row) for row in rows], text


def test_precedence_is_that_of_sql() -> None:
    assert said("a = 1 OR b = 1 AND a = 4") == said("a = 1 OR (b = 1 AND a = 4)")
    assert said("NOT a = 1 AND b = 3") == said("(NOT (a = 1)) AND b = 3")
    assert said("a - 1 - 2 = -2") == said("((a - 1) - 2) = -2")
    assert said("b / 3 * 2 > 1 + a % 2") == said("((b / 3) * 2) > (1 + (a % 2))")
    assert said("a - 1 - 2 = -2")[0] is True


def test_between_includes_both_ends_and_can_be_negated() -> None:
    assert said("b BETWEEN 1 AND 3") == [True, True, True, False, None, False, False, False]
    assert said("b not between 1 and 3") == [False, False, False, True, None, True, True, True]


def test_a_missing_value_a_division_by_zero_and_an_overflow_are_unknown() -> None:
    assert said("a > 0") == [True, False, None, False, True, True, None, True]
    assert said("a / b > -100")[3:5] == [None, None]
    assert said("1 / (1 / b) > -100")[3] is None  # not 1 / infinity
    assert said("1 % (1 / b) > -100")[3] is None
    assert said("1 % b > -100")[3] is None
    assert said("a * b * 10 > 0")[5] is None
    assert said("NOT (a / b > -100)")[3] is None


def test_constants_are_calculated_as_columns_are() -> None:
    assert said("a <= -(1 % 1e-3)") == said("a <= -0.00099")
    assert said("1 % 1e-3 * a > 0.00099")[0] is True
    assert said("a > 1 / 0") == [None] * 8
    assert said("2 - 1 - 1 + a > 0") == said("a > 0")


def test_the_bar_before_the_first_is_unknown() -> None:
    assert said("prev_b <= 1") == [None, True, False, False, True, None, False, False]


def test_parameters_stand_for_numbers_and_parts_of_names() -> None:
    assert said("sma_{n} > {x}", n=5, x=-0.5) == said("sma_5 > -0.5")
    assert said("a - {x} > 0", x=-2) == said("a - (-2) > 0")
    assert said("a > {x}", x=1e-7) == said("a > 0.0000001")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 32 + "a > 1" + ")" * 32, "NOT " * 32 + "a > 1", "ABS(" * 32 + "a" + ")" * 32 + " > 1",
        "a > 1" + " AND a>1" * 100, "a>1" + "+1" * 400, "(1/" * 31 + "a" + ")" * 31 + " > 1",
        "GREATEST(1," * 31 + "a" + ")" * 31 + " > 1", "- " * 31 + "a > 1",
    ],
)  # fmt: skip
def test_a_rule_at_the_limits_is_read(text: str) -> None:
    assert len(said(text)) == 8


WORDS = [
    "a",
    "b",
    "sma_{x}",
    "{x}",
    "1",
    "2.5",
    "AND",
    "OR",
    "NOT",
    "BETWEEN",
    "IS",
    "NULL",
    "ABS",
    "GREATEST",
    "AVG",
    "OVER",
]
WORDS += list("+-*/%()<=,")


@settings(max_examples=500, deadline=None)
@given(
    text=st.text(string.printable + "äß€\x00\u2028", max_size=80)
    | st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join)
)
def test_any_text_is_a_rule_or_a_named_error(text: str) -> None:
    try:
        if parameters_of(parse("long_entry", text)) <= {"x"}:
            assert len(said(text, x=5)) == 8
    except BadRequest:
        return


def test_a_rule_without_a_column_says_the_same_of_every_bar() -> None:
    rules = Rules.of(SignalsRequest.model_validate({"long_entry": "1 > 0", "trigger": "level"}))
    assert [(bar.tolist(), mask.tolist()) for bar, mask in rules.changes([{}], {}, 3)] == [([0], [1])]


def test_each_parameter_set_has_changes_of_its_own() -> None:
    request = SignalsRequest.model_validate(
        {"long_entry": "a > {x}", "long_exit": "b < 0", "parameters": {"x": [0, 3]}}
    )
    columns = {name: np.array(values) for name, values in COLUMNS.items()}
    first, second = Rules.of(request).changes([{"x": 0}, {"x": 3}], columns, 8)
    assert (first.bar.tolist(), first.mask.tolist()) == ([4, 5, 7], [1, 0, 2])
    assert (second.bar.tolist(), second.mask.tolist()) == ([4, 5, 7], [1, 0, 2])


def test_an_unknown_column_is_named_with_its_closest_matches() -> None:
    rules = Rules.of(SignalsRequest.model_validate({"long_entry": "prev_smaa_5 > 0"}))
    with pytest.raises(UnknownColumn, match="there is no column prev_smaa_5: did you mean prev_sma_5"):
        rules.columns([{}], list(COLUMNS))
    with pytest.raises(UnknownColumn, match="no column prev_prev_a"):
        Rules.of(SignalsRequest.model_validate({"long_entry": "prev_prev_a > 0"})).columns([{}], list(COLUMNS))
