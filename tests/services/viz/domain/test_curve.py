import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.viz.adapters import inputs
from services.viz.domain.caveats import caveats
from services.viz.domain.curve import curve_metrics, daily_equity, disagreements, longest_under_days
from services.viz.domain.sheet import sheet
from tests.naive import viz as naive

DAY_US = 86_400_000_000
CASH = 10_000.0


@pytest.fixture(scope="module")
def run(builder, backtest):
    links = inputs.chain(builder.lake, backtest)
    return inputs.read_run(builder.lake, links, list(inputs.read_symbols(builder.lake, links)), {})


def test_figures_from_the_curve_agree_with_the_real_backtest(run):
    for one in run.symbols:
        computed = curve_metrics(one.curve.ts, one.curve.equity, CASH)
        assert all(value is not None for value in computed.values())
        assert {name: one.metrics()[name] for name in computed} == pytest.approx(computed, rel=1e-9)
        assert disagreements(one.metrics(), computed) == []


def test_buy_and_hold_agrees_with_the_grid(run):
    for one in run.symbols:
        held = curve_metrics(one.curve.ts, one.curve.buy_and_hold, CASH)
        assert held["total_return"] == pytest.approx(one.metrics()["buy_and_hold_return"], rel=1e-9)


def test_a_figure_that_contradicts_the_curve_is_an_error_in_the_report(run):
    one = run.symbols[0]
    one.trials.metrics["sharpe_ratio"][one.best] += 0.01
    try:
        found = caveats(one, "sharpe_ratio", CASH)
    finally:
        one.trials.metrics["sharpe_ratio"][one.best] -= 0.01
    assert found[0].weight == "error"
    assert "Sharpe ratio" in found[0].text


def test_the_costs_add_up_to_the_change_of_equity(run):
    for one, page in zip(run.symbols, sheet(run, "", "0" * 64)["symbols"], strict=True):
        result = next(row for row in page["costs"] if row["label"] == "Result")
        shown = float(result["value"].replace(",", "").replace("−", "-"))
        assert shown == pytest.approx(one.curve.equity[-1] - CASH, abs=0.01)


@given(
    st.lists(st.integers(1, 3 * DAY_US), min_size=1, max_size=50),
    st.randoms(use_true_random=False),
)
def test_ratios_equal_pandas(gaps, random):
    ts = 1_640_995_200_000_000 + np.cumsum(np.array(gaps, np.int64))
    equity = np.array([random.randint(5_000, 15_000) for _ in gaps], np.float64)
    daily = pd.Series(equity, pd.to_datetime(ts - 1, unit="us")).resample("1D").last().ffill()
    assert daily_equity(ts, equity).tolist() == daily.tolist()
    returns = daily.pct_change().dropna()
    found = curve_metrics(ts, equity, CASH)
    if len(daily) < 3 or returns.std() < 1e-12:
        assert found["sharpe_ratio"] is None
    else:
        assert found["sharpe_ratio"] == pytest.approx(returns.mean() / returns.std() * 365**0.5, rel=1e-9)
    peak = pd.Series([CASH, *equity]).cummax().iloc[1:].to_numpy()
    assert found["max_drawdown"] == pytest.approx((equity / peak - 1).min(), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), min_size=1, max_size=12), st.integers(1, 5))
def test_the_longest_drawdown_is_that_of_a_walk_bar_by_bar(rows, cash):
    ts, equity = np.cumsum([step for step, _ in rows]) * DAY_US, np.array([float(value) for _, value in rows])
    assert longest_under_days(ts, equity, float(cash)) == naive.longest_under_days(ts.tolist(), equity.tolist(), cash)
