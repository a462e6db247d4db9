"""What a rule says of each bar: SQL parsed by Polars, checked again, and evaluated over clean columns."""

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from services.signals.domain.binding import PREVIOUS
from services.signals.domain.errors import RuleNotAllowed, RuleTooLarge
from tickloom.kernel import F64, I8


def clean_frame(columns: Mapping[str, F64], wanted: Iterable[str]) -> pl.DataFrame:
    """Return the wanted columns, (n_bars,), with null for NaN and infinity; `prev_<column>` is a bar earlier."""
    frame = pl.DataFrame(dict(columns)).with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in columns
    )
    shifted = sorted({name for name in wanted if name not in columns})
    return frame.with_columns(pl.col(name.removeprefix(PREVIOUS)).shift(1).alias(name) for name in shifted)


def truths(frame: pl.DataFrame, n_bars: int, rules: Mapping[str, str]) -> dict[str, I8]:
    """Return what each SQL text says of each bar, (n_bars,): 1 true, 0 false, -1 unknown. All in one pass.

    rules  SQL text -> the rule that it is of, for errors

    The grammar has let through nothing but operations on one bar; that Polars read it so is checked all the same.
    """
    expressions = [_parsed(frame, rule, sql) for sql, rule in rules.items()]
    # A rule without a column says the same of every bar: it would come out as one row.
    whole = [e if e.meta.root_names() else pl.repeat(e, pl.len()) for e in expressions]
    # Side by side with others, one value for all bars would be repeated: by itself it shows that it is one.
    two = pl.DataFrame({PREVIOUS: [0.0, 1.0]} | {name: [0.0, 1.0] for name in frame.columns})
    kinds = two.lazy().select(e.alias(str(k)) for k, e in enumerate(whole)).collect_schema().dtypes()
    sizes = two.select(e.len().alias(str(k)) for k, e in enumerate(whole)).row(0)
    for rule, expression, kind, size in zip(rules.values(), expressions, kinds, sizes, strict=True):
        if kind != pl.Boolean or size != two.height:
            raise RuleNotAllowed(rule, 0, f"it is not one truth a bar: Polars reads it as {expression}")
    rows = frame if frame.width else pl.DataFrame({PREVIOUS: np.zeros(n_bars)})
    known = rows.select(e.cast(pl.Int8).fill_null(-1).alias(str(k)) for k, e in enumerate(whole))
    return {sql: np.array(known[str(k)], np.int8) for k, sql in enumerate(rules)}


def _parsed(frame: pl.DataFrame, rule: str, sql: str) -> pl.Expr:
    try:
        expression = pl.sql_expr(sql)
    except pl.exceptions.PolarsError as error:
        raise RuleTooLarge(rule, f"it is nested deeper than Polars reads ({str(error)[:80]})") from None
    unknown = set(expression.meta.root_names()) - set(frame.columns)
    if unknown or expression.meta.has_multiple_outputs():
        raise RuleNotAllowed(rule, 0, f"Polars reads it as {expression}")
    return expression
