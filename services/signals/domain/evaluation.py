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


def truth(frame: pl.DataFrame, n_bars: int, rule: str, sql: str) -> I8:
    """Return what `sql` says of each bar, (n_bars,): 1 true, 0 false, -1 unknown.

    The grammar has let through nothing but operations on one bar; that Polars read it so is checked all the same.
    """
    try:
        expression = pl.sql_expr(sql)
    except pl.exceptions.PolarsError as error:
        raise RuleTooLarge(rule, f"it is nested deeper than Polars reads ({str(error)[:80]})") from None
    unknown = set(expression.meta.root_names()) - set(frame.columns)
    if unknown or expression.meta.has_multiple_outputs():
        raise RuleNotAllowed(rule, 0, f"Polars reads it as {expression}")
    result = frame.lazy().select(expression.alias("truth")).collect()["truth"]
    if not expression.meta.root_names() and result.len() == 1:  # a rule without a column says the same of every bar
        result = result.new_from_index(0, n_bars)
    if result.dtype != pl.Boolean or result.len() != n_bars:
        raise RuleNotAllowed(rule, 0, f"it is not one truth a bar: Polars reads it as {expression}")
    return result.cast(pl.Int8).fill_null(-1).to_numpy().astype(np.int8)
