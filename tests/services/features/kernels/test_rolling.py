"""Windows that forget: what a running sum gets wrong, and these kernels must not."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import talib

from services.features.kernels.rolling import REANCHOR_EVERY, moments, sma
from services.features.kernels.zscore import zscore
from tests.naive import features as naive
from tests.services.features.kernels.cases import walk
from tickloom.kernel import F64


def test_after_a_spike_has_left_the_window_nothing_of_it_is_left() -> None:
    quiet = 1e-3 * (1 + np.random.default_rng(1).random(400))
    volume = np.r_[quiet, 1e15, quiet]
    after = slice(402 + 20, None)
    np.testing.assert_allclose(sma(volume, 20)[after], np.array(naive.sma(volume.tolist(), 20))[after], rtol=1e-12)
    mean, deviation = moments(volume, 20)
    np.testing.assert_allclose(deviation[after], np.array(naive.stddev(volume.tolist(), 20))[after], rtol=1e-9)
    np.testing.assert_allclose(mean[after], sma(volume, 20)[after], rtol=1e-12)
    running = np.cumsum(np.r_[volume[:20].sum(), volume[20:] - volume[:-20]])[20 + 402 - 19 :] / 20
    assert not np.allclose(running, sma(volume, 20)[after], rtol=1e-3), "a plain running sum would do as well"


@pytest.mark.parametrize("timeperiod", [2, 20, 1500])
def test_deviations_are_right_to_eight_digits_far_from_zero(timeperiod: int) -> None:
    close = 1e6 + walk(4 * REANCHOR_EVERY, seed=2, step=1e-4)[2]  # the price is a million, its deviation is a cent
    picked = [*range(timeperiod - 1, close.size, 97), close.size - 1]
    exact = [naive.stddev(close[: i + 1][-timeperiod:].tolist(), timeperiod)[-1] for i in picked]
    np.testing.assert_allclose(moments(close, timeperiod)[1][picked], exact, rtol=2e-8)


@pytest.mark.parametrize("shape", ["trend", "step", "sawtooth", "zero mean"])
def test_windows_stay_right_on_awkward_series(shape: str) -> None:
    i = np.arange(3 * REANCHOR_EVERY, dtype=np.float64)
    x = {
        "trend": 1e5 + 3.7 * i,
        "step": np.where(i < 1500, 1e8, 1.0) + np.sin(i),
        "sawtooth": i % 7 + 0.1,
        "zero mean": np.sin(i * i),
    }[shape]
    expected = np.array(naive.sma(x.tolist(), 10))
    np.testing.assert_allclose(sma(x, 10), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(moments(x, 10)[0], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(moments(x, 10)[1], naive.stddev(x.tolist(), 10), rtol=1e-8)


def test_a_window_of_equal_values_has_no_deviation_wherever_it_came_from() -> None:
    x = np.r_[np.random.default_rng(3).random(50) * 1e9, np.full(30, 0.1), np.random.default_rng(4).random(50)]
    mean, deviation = moments(x, 5)
    assert (deviation[54:80] == 0.0).all()
    assert (mean[54:80] == 0.1).all()
    assert (sma(x, 5)[54:80] == 0.1).all()
    assert (deviation[80:] > 0.0).all()
    assert np.isnan(zscore(x, 5)[54:80]).all()
    assert np.isfinite(zscore(x, 5)[80:]).all()


@pytest.mark.parametrize("kernel", [sma, lambda x, n: moments(x, n)[1], zscore], ids=["sma", "stddev", "zscore"])
def test_a_window_recovers_once_the_hole_has_left_it(kernel: Callable[[F64, int], F64]) -> None:
    x = walk(40, seed=4)[2].copy()
    whole = kernel(x, 5)
    x[20] = np.nan
    out = kernel(x, 5)
    assert np.isnan(out[20:25]).all()
    assert np.isfinite(out[25:]).all()
    np.testing.assert_allclose(out[25:], whole[25:], rtol=1e-9)
    assert np.isnan(talib.SMA(x, 5)[20:]).all(), "TA-Lib does not recover; if it does now, say so in the docstring"


def test_a_zscore_is_bounded_by_its_window() -> None:
    volume = np.r_[np.ones(99), 1e9]
    assert zscore(volume, 100)[-1] == pytest.approx(math.sqrt(99), rel=1e-12)
