"""Masks and rules again, slow and obvious: one bar after the other, plain Python, three-valued truths."""

import math
from collections.abc import Sequence

Truth = bool | None
Value = float | None


def signal_mask(
    long_entry: Sequence[Truth],
    long_exit: Sequence[Truth],
    short_entry: Sequence[Truth],
    short_exit: Sequence[Truth],
    rising_edge: bool,
) -> list[int]:
    """The mask of each bar: 1 long entry, 2 long exit, 4 short entry, 8 short exit."""
    out = []
    for i in range(len(long_entry)):
        mask = 0
        for bit, rule, is_entry in (
            (1, long_entry, True),
            (2, long_exit, False),
            (4, short_entry, True),
            (8, short_exit, False),
        ):
            fires = rule[i] is True
            if fires and is_entry and rising_edge:
                known = [truth for truth in rule[:i] if truth is not None]
                fires = bool(known) and known[-1] is False
            mask |= bit if fires else 0
        out.append(mask)
    return out


def missing(value: Value) -> bool:
    return value is None or not math.isfinite(value)


def arithmetic(operator: str, a: Value, b: Value) -> Value:
    """Floats as IEEE 754 has them; nothing divided by zero; a missing value makes the result missing."""
    if a is None or b is None:
        return None
    if operator in "/%":
        if b == 0:
            return None
        return a / b if operator == "/" else (math.fmod(a, b) if math.isfinite(a) else math.nan)
    return {"+": a + b, "-": a - b, "*": a * b}[operator]


def compare(operator: str, a: Value, b: Value) -> Truth:
    """Unknown where either side is no finite number."""
    if missing(a) or missing(b):
        return None
    assert a is not None
    assert b is not None
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b, "=": a == b, "<>": a != b}[operator]


def negation(a: Truth) -> Truth:
    return None if a is None else not a


def conjunction(a: Truth, b: Truth) -> Truth:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def disjunction(a: Truth, b: Truth) -> Truth:
    return negation(conjunction(negation(a), negation(b)))
