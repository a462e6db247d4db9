import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.viz.domain.calendar import day_text, moment_text, monthly_returns

DAY_US = 86_400_000_000
JANUARY = 1_640_995_200_000_000  # 2022-01-01
CASH = 10_000.0


@st.composite
def curves(draw):
    gaps = draw(st.lists(st.integers(1, 70 * DAY_US), min_size=1, max_size=60))
    ts = JANUARY + np.cumsum(np.array(gaps, np.int64))
    equity = draw(st.lists(st.integers(1, 30_000), min_size=len(gaps), max_size=len(gaps)))
    return ts, np.array(equity, np.float64)


@given(curves())
def test_months_equal_pandas(curve):
    ts, equity = curve
    series = pd.Series(equity, pd.to_datetime(ts - 1, unit="us"))
    last = series.resample("ME").last().ffill()
    had_a_bar = series.resample("ME").count() > 0
    expected = (last / last.shift(1, fill_value=CASH) - 1)[had_a_bar]
    years = monthly_returns(ts, equity, CASH)
    found = {(y.year, m + 1): v for y in years for m, v in enumerate(y.months) if v is not None}
    assert found == pytest.approx({(at.year, at.month): value for at, value in expected.items()}, rel=1e-12)


@given(curves())
def test_years_multiply_up_to_the_total_return(curve):
    ts, equity = curve
    growth = np.prod([1 + year.total for year in monthly_returns(ts, equity, CASH)])
    assert growth == pytest.approx(equity[-1] / CASH, rel=1e-9)


def test_a_close_at_midnight_ends_the_month_before():
    years = monthly_returns(np.array([JANUARY + 31 * DAY_US]), np.array([11_000.0]), CASH)
    assert years[0].months[:2] == (pytest.approx(0.1), None)


def test_a_year_without_bars_has_a_row_of_its_own():
    ts = np.array([JANUARY + DAY_US, JANUARY + 800 * DAY_US])
    years = monthly_returns(ts, np.array([10_000.0, 12_000.0]), CASH)
    assert [(year.year, year.total) for year in years] == [(2022, 0), (2023, 0), (2024, pytest.approx(0.2))]


def test_a_return_from_nothing_is_none():
    ts = np.array([JANUARY + DAY_US, JANUARY + 40 * DAY_US])
    assert monthly_returns(ts, np.array([0.0, 5.0]), CASH)[0].months[:2] == (-1.0, None)


def test_no_rows_are_no_years():
    assert monthly_returns(np.empty(0, np.int64), np.empty(0), CASH) == []


def test_times_are_written_in_utc():
    assert day_text(JANUARY) == "2022-01-01"
    assert moment_text(JANUARY + 1_500_000) == "2022-01-01 00:00:01 UTC"
