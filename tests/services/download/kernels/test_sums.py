"""Sums, scales and divisions of whole columns: exact to the last digit."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.download.kernels.rows import shortest
from services.download.kernels.sums import divide_exactly, dot_limbs, sum_limbs, time_steps, zeros_in_common

UNITS = st.integers(0, 10**18 - 1)
ROUND = st.tuples(UNITS, st.integers(0, 18)).map(lambda p: p[0] // 10 ** p[1] * 10 ** p[1])


@given(st.lists(st.tuples(UNITS, UNITS), max_size=40))
def test_sums_and_products_do_not_overflow(pairs):
    left, right = (np.array([pair[i] for pair in pairs], np.int64) for i in (0, 1))
    assert sum(limb << 32 * i for i, limb in enumerate(dot_limbs(left, right))) == sum(a * b for a, b in pairs)
    assert sum(limb << 32 * i for i, limb in enumerate(sum_limbs(left))) == sum(a for a, _ in pairs)


@given(st.lists(ROUND, min_size=1, max_size=20), st.integers(0, 18))
def test_the_zeros_that_all_have_are_found_and_taken_off(values, most):
    column = np.array(values, np.int64)
    n = zeros_in_common(column, most)
    assert n == max(k for k in range(most + 1) if all(value % 10**k == 0 for value in values))
    divide_exactly(column, n, column)
    assert column.tolist() == [value // 10**n for value in values]


@given(st.lists(st.tuples(ROUND, st.booleans()), max_size=20), st.integers(0, 18))
def test_units_become_digits_and_places_that_are_as_few_as_can_be(values, scale):
    units = np.array([-value if negative else value for value, negative in values], np.int64)
    digits, places = np.empty_like(units), np.empty_like(units)
    shortest(units, scale, digits, places)
    for unit, digit, place in zip(units.tolist(), digits.tolist(), places.tolist(), strict=True):
        assert digit * 10 ** (scale - place) == unit
        assert 0 <= place <= scale
        assert place == 0 or digit % 10


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.integers(0, 1000), st.integers(0, 300))
def test_steps_of_time_are_counted(ts, before, long):
    steps = np.diff([before, *ts])
    found = time_steps(np.array(ts, np.int64), before, long)
    assert found == (min(ts), max(ts), int((steps < 0).sum()), int((steps > long).sum()))
