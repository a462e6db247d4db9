"""What holds for every feature kernel: its twin's numbers, TA-Lib's numbers, and not a bit from the future."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.features.kernels.cases import CASES, Case, Market, markets, walk

every_kernel = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
periods = st.integers(1, 15)


def close_to(case: Case, market: Market) -> float:
    """Return the absolute tolerance: rounding is relative to the price, not to a difference of prices."""
    largest = np.nanmax(np.abs(np.concatenate(market)), initial=0.0)
    return float(1e-9 * largest) if case.power else 1e-9


@every_kernel
@given(market=markets(), timeperiod=periods)
def test_it_equals_its_slow_twin(case: Case, market: Market, timeperiod: int) -> None:
    expected = np.array(case.slow(*market, timeperiod))
    np.testing.assert_allclose(case.fast(*market, timeperiod), expected, rtol=1e-9, atol=close_to(case, market))


@every_kernel
@pytest.mark.parametrize("timeperiod", [1, 2, 5, 14, 20, 200, 1500])
@pytest.mark.parametrize("level", [6e4, 1.0, 1e-6])
def test_it_equals_talib_on_a_random_walk(case: Case, timeperiod: int, level: float) -> None:
    market = walk(5000, seed=timeperiod, level=level)
    timeperiod = max(timeperiod, case.least)
    expected = case.talib(*market, timeperiod)
    rounding = 1e-7 if case.name in ("stddev", "zscore") else 1e-9  # TA-Lib sums squares about 0
    np.testing.assert_allclose(
        case.fast(*market, timeperiod), expected, rtol=rounding, atol=rounding * level**case.power
    )


@every_kernel
@pytest.mark.parametrize("timeperiod", [1, 2, 7])
@pytest.mark.parametrize("n_bars", [0, 1, 6, 7, 8, 30])
def test_it_is_nan_exactly_until_its_first_value(case: Case, timeperiod: int, n_bars: int) -> None:
    out = case.fast(*walk(n_bars, seed=3), timeperiod)
    assert out.shape == (n_bars,)
    assert out.dtype == np.float64
    if (case.name, timeperiod) == ("zscore", 1):
        assert np.isnan(out).all()
    else:
        assert np.isnan(out).tolist() == [i < case.lookback(timeperiod) for i in range(n_bars)]


@every_kernel
@given(market=markets(min_size=1), timeperiod=periods, data=st.data())
def test_no_bar_changes_when_bars_are_added_after_it(
    case: Case, market: Market, timeperiod: int, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, market[2].size))
    whole, prefix = case.fast(*market, timeperiod), case.fast(*(x[:cut].copy() for x in market), timeperiod)
    assert whole[:cut].tobytes() == prefix.tobytes()


@every_kernel
@pytest.mark.parametrize("timeperiod", [1, 14, 600])
def test_no_bar_changes_when_bars_are_added_after_it_across_the_anchors(case: Case, timeperiod: int) -> None:
    market = walk(3500, seed=8)
    whole = case.fast(*market, timeperiod)
    for cut in [0, 1, 599, 1024, 1037, 1038, 1039, 2062, 2063, 3499, *np.random.default_rng(0).integers(0, 3500, 40)]:
        assert whole[:cut].tobytes() == case.fast(*(x[:cut].copy() for x in market), timeperiod).tobytes()


@every_kernel
@given(
    market=markets(min_size=1),
    timeperiod=periods,
    poison=st.sampled_from([np.nan, np.inf, -np.inf, 1e9, 0.0]),
    data=st.data(),
)
def test_poison_in_the_future_changes_nothing_before_it(
    case: Case, market: Market, timeperiod: int, poison: float, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, market[2].size))
    poisoned = tuple(np.r_[x[:cut], np.full(x.size - cut, poison)] for x in market)
    assert case.fast(*market, timeperiod)[:cut].tobytes() == case.fast(*poisoned, timeperiod)[:cut].tobytes()


@every_kernel
@given(market=markets(), timeperiod=periods, k=st.integers(-40, 40))
def test_a_unit_of_price_twice_as_large_changes_no_digit(case: Case, market: Market, timeperiod: int, k: int) -> None:
    out = case.fast(*market, timeperiod)
    scaled = case.fast(*(x * 2.0**k for x in market), timeperiod)
    assert scaled.tobytes() == (out * 2.0 ** (k * case.power)).tobytes()


@every_kernel
@given(market=markets(), timeperiod=periods, data=st.data())
def test_a_hole_in_the_data_gives_the_twins_numbers_or_nan(
    case: Case, market: Market, timeperiod: int, data: st.DataObject
) -> None:
    holes = data.draw(st.sets(st.integers(0, max(0, market[2].size - 1)), max_size=3))
    hole = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    holed = tuple(np.array([hole if i in holes else value for i, value in enumerate(x)], np.float64) for x in market)
    expected = np.array(case.slow(*holed, timeperiod))
    np.testing.assert_allclose(case.fast(*holed, timeperiod), expected, rtol=1e-9, atol=close_to(case, market))


@every_kernel
def test_leading_nan_is_skipped_as_talib_skips_it(case: Case) -> None:
    market = tuple(np.r_[np.full(3, np.nan), x] for x in walk(60, seed=5))
    np.testing.assert_allclose(case.fast(*market, 5), case.talib(*market, 5), rtol=1e-9, atol=1e-9)


@every_kernel
def test_read_only_and_strided_inputs_give_the_same_bytes_and_stay_as_they_are(case: Case) -> None:
    market = walk(50, seed=6)
    kept = [x.tobytes() for x in market]
    strided = tuple(np.repeat(x, 2)[::2] for x in market)
    expected = case.fast(*market, 5).tobytes()
    for x in (*market, *strided):
        x.setflags(write=False)
    assert case.fast(*market, 5).tobytes() == case.fast(*strided, 5).tobytes() == expected
    assert [x.tobytes() for x in market] == kept


@every_kernel
@pytest.mark.parametrize("timeperiod", [0, -3])
def test_a_window_without_bars_is_refused(case: Case, timeperiod: int) -> None:
    with pytest.raises(ValueError, match="timeperiod must be at least 1"):
        case.fast(*walk(10, seed=1), timeperiod)


@every_kernel
@pytest.mark.parametrize("price", [0.1, 60_000.07, 1e-8])
@pytest.mark.parametrize("timeperiod", [1, 3, 20])
def test_constant_prices_give_exact_numbers(case: Case, price: float, timeperiod: int) -> None:
    flat = np.full(3000, price)
    out = case.fast(flat, flat, flat, timeperiod)[case.lookback(timeperiod) :]
    lines = ("sma", "ema", "bbands", "donchian")
    expected = price if case.name.startswith(lines) else np.nan if case.name == "zscore" else 0.0
    np.testing.assert_array_equal(out, np.full(out.size, expected))
