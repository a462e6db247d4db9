"""Silences against a symbol's own rhythm: what is one for BTCUSDT is a quiet afternoon for another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from services.download.domain.rhythm import Silence, silences
from services.download.kernels.minutes import MINUTES
from tests.naive import quality as naive


def market(n_days, probability, seed=1):
    """Return marks of minutes that trade with a probability, one number or one for each hour of the day."""
    by_minute = np.repeat(np.broadcast_to(probability, 24), 60)
    return np.random.default_rng(seed).random((n_days, MINUTES)) < by_minute


def found(marks, rows=None):
    rows = np.full(len(marks), 1000) if rows is None else np.array(rows)
    return [(silence.begin, silence.end) for silence in silences(marks, rows)]


def test_ten_minutes_are_a_silence_in_a_market_that_trades_every_minute():
    marks = market(30, 1.0)
    marks[12, 600:610] = False
    assert found(marks) == [(12 * MINUTES + 600, 12 * MINUTES + 610)]


def test_three_minutes_are_not():
    marks = market(30, 1.0)
    marks[12, 600:603] = False
    assert found(marks) == []


@pytest.mark.parametrize("probability", [0.001, 0.01, 0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("n_days", [1, 3, 30])
def test_a_market_that_trades_rarely_has_no_silence_for_that(probability, n_days):
    marks = market(n_days, probability, seed=5)
    assert found(marks, np.maximum(marks.sum(axis=1), 1)) == []


def test_two_days_without_a_trade_are_a_silence_in_a_market_that_trades_once_in_twenty_minutes():
    marks = market(30, 0.05)
    marks[10:12] = False
    assert [end - begin > 2000 for begin, end in found(marks)] == [True]


def test_a_market_that_sleeps_every_night_has_no_silence_for_that():
    marks = market(30, [0.0] * 8 + [0.9] * 16)
    assert found(marks) == []


def test_an_empty_afternoon_of_the_same_market_is_a_silence():
    marks = market(30, [0.0] * 8 + [0.9] * 16)
    marks[20, 14 * 60 : 16 * 60] = False
    assert [begin // MINUTES for begin, _ in found(marks)] == [20]


def test_a_quiet_weekend_is_held_against_itself():
    marks = np.concatenate([market(5, 0.6), market(2, 0.06, seed=2)] * 4)
    assert found(marks) == []


def test_a_day_that_ends_at_noon_has_a_silence_to_its_end():
    marks = market(1, 0.9)
    marks[0, 720:] = False
    assert [end for _, end in found(marks)] == [MINUTES]


def test_six_busy_minutes_of_one_day_show_that_the_rest_is_missing():
    marks = np.zeros((1, MINUTES), np.bool_)
    marks[0, -6:] = True
    assert found(marks, [21313]) == [(0, MINUTES - 6)]


def test_six_trades_in_one_day_show_nothing():
    marks = np.zeros((1, MINUTES), np.bool_)
    marks[0, -6:] = True
    assert found(marks, [6]) == []


def test_a_missing_day_is_no_silence_and_ends_one():
    marks = market(5, 1.0)
    marks[1, 1380:] = marks[2] = marks[3, :60] = False
    rows = [1000, 1000, 0, 1000, 1000]
    assert found(marks, rows) == [(MINUTES + 1380, 2 * MINUTES), (3 * MINUTES, 3 * MINUTES + 60)]


def test_no_day_at_all_has_no_silence():
    assert found(np.zeros((3, MINUTES), np.bool_), [0, 0, 0]) == []


def test_a_silence_knows_how_much_of_it_lies_in_each_day():
    silence = Silence(MINUTES - 10, 2 * MINUTES + 5)
    assert (silence.first, silence.last, silence.minutes) == (0, 2, MINUTES + 15)
    assert [silence.within(day) for day in range(4)] == [10, MINUTES, 5, 0]


@example_settings(max_examples=12)
@given(st.integers(0, 10**6), st.integers(1, 3), st.floats(0.01, 1), st.data())
def test_silences_are_those_of_the_slow_way(seed, n_days, probability, data):
    rng = np.random.default_rng(seed)
    marks = market(n_days, probability, seed)
    for _ in range(3):
        begin = int(rng.integers(0, n_days * MINUTES))
        marks.ravel()[begin : begin + int(rng.integers(1, 300))] = False
    rows = [data.draw(st.sampled_from([1, 1000])) if day.any() else 0 for day in marks]
    assert found(marks, rows) == naive.silences(marks.tolist(), rows)
