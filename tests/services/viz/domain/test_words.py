import csv
from io import StringIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.viz.domain.cells import cell
from services.viz.domain.costs import costs
from services.viz.domain.run import METRICS, Trades
from services.viz.domain.words import CATALOGUE, percent, show, signed, size, span, why_undefined


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "12.35 %"), (-0.5, "−50.00 %"), (12.0, "1,200.0 %"), (-0.00001, "0.00 %"), (250.0, "25,000 %")],
)
def test_a_fraction_is_shown_as_a_percentage(value, text):
    assert percent(value).replace("\N{THIN SPACE}", " ") == text


def test_a_value_that_rounds_to_zero_has_no_sign():
    assert signed(-0.001, 2, plus=True) == "0.00"


@pytest.mark.parametrize(
    ("days", "text"),
    [(40, "40 days"), (2.5, "2.5 days"), (0.5, "12 hours"), (1 / 24, "60 minutes"), (0.0001, "9 seconds")],
)
def test_a_duration_is_shown_in_the_unit_that_reads_best(days, text):
    assert span(days) == text


@pytest.mark.parametrize(("n_bytes", "text"), [(999, "999 B"), (1_500, "1.5 kB"), (2_000_000, "2.0 MB")])
def test_bytes_are_shown_in_words(n_bytes, text):
    assert size(n_bytes) == text


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_in_the_catalogue_and_undefined_says_why(name):
    assert CATALOGUE[name].meaning
    assert show(name, None) == "n/a"
    assert why_undefined(name, 5)


def test_without_a_trade_that_is_the_reason():
    assert why_undefined("win_rate", 0) == "there was no trade"


@given(st.text(max_size=40))
def test_no_cell_begins_like_a_formula_and_every_text_comes_back(text):
    written = cell(text)
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert (written[1:] if written.startswith("'") else written) == text


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_are_untouched_also_negative_ones(value):
    assert next(csv.reader(StringIO(cell(value)))) == [repr(value)]


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_is_made_harmless(text):
    assert cell(text) == f"'{text}"


def test_costs_are_what_lies_between_the_gain_before_them_and_the_result():
    # Bought 2 at 100, sold at 110, slippage 1 %, commission 0.1 %, by hand.
    entry, leave = 101.0, 108.9
    fees = 2 * (entry + leave) * 0.001
    trades = Trades(
        side=np.array([1], np.int8),
        entry_bar=np.array([1]),
        exit_bar=np.array([2]),
        entry_ts=np.array([1]),
        exit_ts=np.array([2]),
        entry_price=np.array([entry]),
        exit_price=np.array([leave]),
        quantity=np.array([2.0]),
        fees=np.array([fees]),
        slippage=np.array([2 * (1.0 + 1.1)]),
        pnl=np.array([2 * (leave - entry) - fees]),
        reason=["signal"],
        is_open=np.array([False]),
        inside_bar=["bars"],
        n_untraded=np.array([0]),
    )
    spent = costs(trades)
    assert spent.slippage == pytest.approx(2 * (1.0 + 1.1))
    assert spent.commission == pytest.approx(fees)
    assert spent.gross == pytest.approx(2 * 10.0)
    assert spent.per_notional == pytest.approx((spent.slippage + fees) / (2 * (entry + leave)))
