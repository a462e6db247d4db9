"""The language of rules: what is refused, where, and in which words."""

import pickle

import pytest

from tickloom.rules.errors import RuleNotAllowed, RuleTooLarge, UnknownColumn
from tickloom.rules.grammar import parse

HOSTILE = [
    "AVG(close) > 1", "close > avg(close)", "SUM(a) > 0", "a > MAX(a)", "MIN(a) < a", "COUNT(a) > 1",
    "STDDEV(a) > 1", "MEDIAN(a) > a", "FIRST(a) = a", "LAST(a) = a", "QUANTILE_CONT(a, 0.5) > a", "LAG(a) > a",
    "LEAD(a) > a", "LEAD(a, 1) > a", "a > LAG(a) OVER (ORDER BY b)", "a > 1 OVER (ORDER BY b)",
    "ROW_NUMBER() OVER () > 1", "SUM(a) OVER (PARTITION BY b) > 1", "a > (SELECT 1)", "a IN (SELECT b FROM df)",
    "EXISTS (SELECT 1)", "a > ALL (SELECT b FROM df)", "a > 1; DROP TABLE df", "a > 1 -- comment",
    "a > 1 /* comment */", "a > 1 UNION SELECT 1", "a IN (1, 2)", "a LIKE 'x'", "a = 'x'", "a::int > 1",
    "CAST(a AS INT) > 1", "CASE WHEN a > 1 THEN TRUE END", "a > TRUE", "TRUE", "NULL", "a > NULL", "a IS TRUE", "a",
    "1", "", " ", "a > ", "> a", "a >> 1", "a | b > 1", "a & b > 1", "a ^ 2 > 1", "a ~ 'x'", "a || b > 1", "a == 1",
    "a => 1", "a < b < 3", "(a > 1", "a > 1)", "()", "a > (b > 1)", "(a > 1) + 1 > 1", "a AND b", "NOT a",
    "-(a > 1) > 0", "a > 1 AND", "AND a > 1", "a > 1 b > 2", "df.a > 1", '"a" > 1', "`a` > 1", "[a] > 1", "a[0] > 1",
    "a.b > 1", "*", "a > *", "a > 1e999", "a > 1..2", "a > 0x10", "a > 1_000", "a > 12abc", "@a > 1", "$a > 1",
    "a > ?", "a > :x", "a > \xe4", "\u0430 > 1", "a > \uff11", "a\x00 > 1", "a > '\\''", "{a > 1", "a > {A}",
    "a > {x y}", "a > {}", "a > {__class__}", "{x}a > 1", "a > {x}{x}", "a > 1{x}", "a{ > 1",
    "__import__('os').system('id') > 1", "eval('1') > 0", "pg_sleep(10) > 1", "READ_CSV('/etc/passwd') > 1",
    "SQRT(a) > 1", "EXP(EXP(a)) > 1", "REPEAT(a, 1000000000) > 1", "RANDOM() > 0.5", "NOW() > 1",
    "COALESCE(a, 1) > 1", "IF(a > 1, 1, 2) > 1", "ABS() > 1", "ABS(a, b) > 1", "GREATEST(a) > 1", "ABS(a > 1) > 0",
    "ABS(*) > 1", "ABS(DISTINCT a) > 1", "abs > (1", "a IS NULL NULL", "a + 1 IS NULL", "a IS 1", "a NOT 1",
    "a BETWEEN 1", "a BETWEEN 1 AND", "a BETWEEN 1 OR 2", "a NOT NULL", "interval '1' day > 1", "a XOR b",
    "a DIV 2 > 1", "a > 1 LIMIT 1", "SELECT a FROM df", "a > 1 ORDER BY a",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_not_in_the_grammar_is_refused_by_name(text: str) -> None:
    with pytest.raises((RuleNotAllowed, RuleTooLarge)) as caught:
        parse("long_entry", text)
    assert str(caught.value).startswith("long_entry")
    assert caught.value.status == 422


def test_there_are_enough_hostile_rules() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 120


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("AVG(a) > 1", "look ahead"), ("a > LAG(a)", "prev_<column>"), ("a > LEAD(a)", "prev_<column>"),
        ("a == 1", "written ="), ("a = 'x'", "every column is a number"), ("a > 1 ; b", "character 7"),
        ("SQRT(a) > 1", "ABS, GREATEST, LEAST"), ("a AND b > 1", "a number stands where"),
        ("(a > 1) > 1", "true or false stands"),
    ],
)  # fmt: skip
def test_a_refusal_says_where_and_why(text: str, says: str) -> None:
    with pytest.raises(RuleNotAllowed, match="character") as caught:
        parse("short_exit", text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a > 1 AND " * 250 + "a > 1", "(" * 33 + "a > 1" + ")" * 33, "NOT " * 33 + "a > 1", "- " * 40 + "a > 1",
        "ABS(" * 33 + "a" + ")" * 33 + " > 1", "a>" + "1+" * 600 + "1", "a > " + "9" * 3000,
    ],
    ids=["long", "parentheses", "nots", "signs", "calls", "parts", "digits"],
)  # fmt: skip
def test_a_rule_beyond_the_limits_is_too_large(text: str) -> None:
    with pytest.raises(RuleTooLarge):
        parse("long_entry", text)


def test_errors_travel_between_processes() -> None:
    for error in (
        RuleNotAllowed("long_entry", 3, "x"),
        UnknownColumn("r", "c", ["a"]),
        RuleTooLarge("r", "x"),
    ):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
