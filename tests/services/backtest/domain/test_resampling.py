"""Bands by resampling: the same seed is the same bands, and they hold what they should."""

import numpy as np
import pytest

from services.backtest.domain.resampling import bootstrapped, shuffled

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


@pytest.mark.parametrize("n", [0, 1])
def test_one_return_is_nothing_to_draw_from(n: int) -> None:
    assert shuffled(np.zeros(n), 1) is None
    assert bootstrapped(np.zeros(n), 1) is None
