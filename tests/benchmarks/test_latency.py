"""The time of 64 combinations: the plain loop beside it, and what is written down."""

import math

import numpy as np
import pytest

from benchmarks.latency import Sample, moving_average, plain, plain_trades, render


def test_the_plain_loop_trades_as_the_rule_says():
    wave = (100 + 10 * np.sin(np.arange(400) / 20)).tolist()
    bars = {"open": wave, "low": wave, "close": wave, "ema_200": [0.0] * 400}
    assert plain_trades(bars, (2, 8)) == 3  # once a wave; the first rise is known from the first bar on
    assert plain_trades(bars | {"ema_200": [1000.0] * 400}, (2, 8)) == 0


def test_a_moving_average_is_unknown_until_it_is_whole():
    means = moving_average([1.0, 2.0, 3.0, 4.0], 3)
    assert all(math.isnan(value) for value in means[:2])
    assert means[2:] == pytest.approx([2.0, 3.0])


def test_the_plain_loop_runs_every_combination():
    close = np.random.default_rng(0).normal(100, 1, 300).tolist()
    bars = {"open": close, "low": close, "close": close, "ema_200": [0.0] * 300}
    trades, seconds = plain(bars, [(2, 5), (3, 8)])
    assert trades == [plain_trades(bars, (2, 5)), plain_trades(bars, (3, 8))]
    assert seconds > 0


def test_the_record_says_whether_it_was_under_two_seconds():
    text = render(
        {"quick": [Sample(1.5, 0.5)], "slow": [Sample(1.0, 1.0), Sample(3.0, 2.0), Sample(4.0, 2.0)]}, 12.3, 64
    )
    assert "| quick | 1.50 | 1.50 | 0.50 | yes |" in text
    assert "| slow | 3.00 | 1.00 | 2.00 | **no** |" in text
    assert "as many trades as ours in 64 of 64" in text
