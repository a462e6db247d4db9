"""Bands by resampling: the same seed is the same bands, and they hold what they should."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.backtest.domain.resampling import bootstrapped, courses, shuffled
from tests.naive import luck as naive

RETURNS = np.random.default_rng(4).normal(0.002, 0.02, 200)


def test_the_same_seed_draws_the_same_bands_and_another_one_others() -> None:
    assert bootstrapped(RETURNS, 7) == bootstrapped(RETURNS, 7)
    assert bootstrapped(RETURNS, 7) != bootstrapped(RETURNS, 8)
    assert shuffled(RETURNS, 7) == shuffled(RETURNS, 7)


def test_another_order_ends_at_the_same_return_and_only_the_way_differs() -> None:
    bands = shuffled(RETURNS, 1)
    assert bands is not None
    whole = float(np.prod(1 + RETURNS) - 1)
    assert bands.total_return == pytest.approx((whole,) * 5)
    assert bands.max_drawdown[0] < bands.max_drawdown[-1] < 0


def test_the_bootstrap_is_centred_on_the_sample_and_as_wide_as_theory_says() -> None:
    bands = bootstrapped(RETURNS, 1)
    assert bands is not None
    middle = np.log1p(bands.total_return[2])
    assert middle == pytest.approx(np.log1p(RETURNS).sum(), abs=0.05)
    width = np.log1p(bands.total_return[4]) - np.log1p(bands.total_return[0])
    assert width == pytest.approx(2 * 1.645 * np.log1p(RETURNS).std() * np.sqrt(200), rel=0.2)


def test_blocks_keep_what_follows_what() -> None:
    # Gains and losses in runs of ten: drawn one by one they would even out, in blocks they do not.
    runs = np.tile(np.repeat([0.01, -0.01], 10), 20)
    random = np.random.default_rng(1)
    bands, alone = bootstrapped(runs, 1), bootstrapped(random.permutation(runs), 1)
    assert bands is not None
    assert alone is not None
    assert bands.max_drawdown[2] < alone.max_drawdown[2]


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 12)), elements=st.floats(-1, 1)), st.data())
def test_the_courses_equal_the_slow_twin(draws: np.ndarray, data: st.DataObject) -> None:
    at = sorted(data.draw(st.sets(st.integers(0, draws.shape[1]), min_size=1)))
    path, fall = courses(draws, np.array(at))
    expected_path, expected_fall = naive.courses(draws.tolist(), at)
    assert path.tolist() == expected_path
    assert fall.tolist() == expected_fall


@pytest.mark.parametrize("draw", [shuffled, bootstrapped])
def test_the_bands_begin_at_one_point_lie_in_order_and_end_where_the_returns_do(draw: Any) -> None:
    bands = draw(RETURNS, 3)
    path = np.array(bands.path)
    assert path.shape == (5, 25)
    assert (bands.at[0], bands.at[-1]) == (0, RETURNS.size)
    assert (path[:, 0] == 1.0).all()
    assert (np.diff(path, axis=0) >= 0).all()
    assert path[:, -1] - 1 == pytest.approx(bands.total_return)
    assert bands.own[-1] == pytest.approx(np.prod(1 + RETURNS))


def test_another_order_is_widest_on_the_way_and_drawing_anew_at_the_end() -> None:
    ordered, anew = shuffled(RETURNS, 1), bootstrapped(RETURNS, 1)
    assert ordered is not None
    assert anew is not None
    width = [np.diff(np.log(np.array(bands.path)[[0, -1]]), axis=0)[0] for bands in (ordered, anew)]
    assert width[0][12] > 0.1 > 1e-9 > width[0][-1]
    assert width[1][-1] > width[1][12] > width[1][3]


def test_few_returns_have_a_point_each_and_many_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    few = bootstrapped(RETURNS[:3], 1)
    assert few is not None
    assert few.at == (0, 1, 2, 3)
    sizes: list[int] = []

    def spy(returns: np.ndarray, at: np.ndarray) -> Any:
        sizes.append(returns.size)
        return courses(returns, at)

    monkeypatch.setattr("services.backtest.domain.resampling.courses", spy)
    many = bootstrapped(np.resize(RETURNS, 30_000), 1)
    assert many is not None
    assert (max(sizes), sum(sizes)) == (66 * 30_000, 1001 * 30_000)


@pytest.mark.parametrize("n", [0, 1])
def test_one_return_is_nothing_to_draw_from(n: int) -> None:
    assert shuffled(np.zeros(n), 1) is None
    assert bootstrapped(np.zeros(n), 1) is None
