"""The corners of the single kernels, by hand."""

import math

import numpy as np
import pytest
import talib

from services.features.kernels.atr import atr
from services.features.kernels.bbands import bbands
from services.features.kernels.ema import ema
from services.features.kernels.returns import log_return, mom, volatility
from services.features.kernels.rolling import sma
from services.features.kernels.rsi import rsi
from tests.services.features.kernels.cases import walk


def test_an_rsi_of_no_movement_is_zero_as_in_talib() -> None:
    flat = np.full(50, 7.0)
    assert rsi(flat, 14)[14:].tolist() == [0.0] * 36 == talib.RSI(flat, 14)[14:].tolist()


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ([1, 2, 3, 4], 100.0),  # only gains
        ([4, 3, 2, 1], 0.0),  # only losses
        ([1, 2, 1, 2, 1], 50.0),  # as much up as down
        ([10, 13, 12], 75.0),  # 3 up, 1 down
    ],
)
def test_an_rsi_is_the_share_of_gains_in_all_movement(prices: list[float], expected: float) -> None:
    assert rsi(np.array(prices, np.float64), len(prices) - 1)[-1] == expected


def test_an_rsi_keeps_its_value_while_the_price_stands_still_and_never_turns_into_noise() -> None:
    still = np.r_[100.0, 102.0, 101.0, np.full(40_000, 101.0)]
    out = rsi(still, 2)
    assert out[2] == pytest.approx(200 / 3)
    assert set(np.unique(out[2:].round(6))) == {0.0, 66.666667}
    assert (np.diff(out[2:] == 0.0).astype(int).sum()) == 1, "once it is no movement it stays no movement"


def test_an_atr_is_the_mean_of_true_ranges_then_wilders() -> None:
    high, low, close = np.array([10.0, 11, 15, 12]), np.array([9.0, 10, 14, 11]), np.array([9.5, 10.5, 14.5, 11.5])
    assert atr(high, low, close, 2)[2] == (1.5 + 4.5) / 2  # gaps count: 11 - 9.5, 15 - 10.5
    assert atr(high, low, close, 2)[3] == (3.0 + 3.5) / 2  # 14.5 - 11


@pytest.mark.parametrize("short", [0, 1, 2])
def test_an_atr_of_columns_that_differ_in_length_is_refused(short: int) -> None:
    columns = [x[:-1] if i == short else x for i, x in enumerate(walk(20, seed=1))]
    with pytest.raises(ValueError, match="of one length"):
        atr(*columns, 3)


@pytest.mark.parametrize("holed", [0, 1, 2])
def test_an_atr_has_no_number_after_a_hole_in_any_of_its_columns(holed: int) -> None:
    columns = [x.copy() for x in walk(20, seed=1)]
    columns[holed][10] = np.nan
    assert np.isnan(atr(*columns, 3)).tolist() == [i < 3 or i >= 10 for i in range(20)]


def test_an_ema_starts_at_the_simple_mean_and_never_forgets_a_hole() -> None:
    x = np.array([1.0, 2, 3, 7, np.nan, 5, 5, 5, 5])
    np.testing.assert_array_equal(ema(x, 3), [np.nan, np.nan, 2, 4.5, *[np.nan] * 5])


def test_a_window_of_one_bar_is_the_bar_itself() -> None:
    close = walk(30, seed=2)[2]
    assert sma(close, 1).tolist() == ema(close, 1).tolist() == close.tolist()
    assert (volatility(close, 1)[1:] == 0.0).all()


def test_the_middle_band_is_the_sma_to_the_bit() -> None:
    close = walk(3000, seed=9)[2]
    upper, middle, lower = bbands(close, 20, 2.0, 3.0)
    assert middle.tobytes() == sma(close, 20).tobytes()
    assert (lower[19:] <= middle[19:]).all()
    assert (middle[19:] <= upper[19:]).all()
    np.testing.assert_allclose((middle - lower)[19:] / (upper - middle)[19:], 1.5, rtol=1e-6)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_log_return_to_or_from_a_price_that_is_none_is_nan(bad: float) -> None:
    out = log_return(np.array([1.0, bad, 2.0, 2.0 * math.e]), 1)
    assert np.isnan(out[:3]).all()
    assert out[3] == pytest.approx(1.0)


def test_momentum_is_a_difference() -> None:
    np.testing.assert_array_equal(mom(np.array([1.0, 4, 9, 16]), 2), [np.nan, np.nan, 8, 12])
