"""Which rows cannot be klines: the kernel against decimals."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.download.domain.errors import DoesNotFit
from services.download.domain.scale import on_one_scale
from services.download.kernels.klines import DOES_NOT_FIT, FINE, OUTSIDE, first_wrong
from tests.naive.archives import fits

PRICES, AMOUNTS = np.array([0, 2, 4, 6]), np.array([8, 10])
DECIMAL = st.tuples(st.integers(-2, 10**18 - 1) | st.integers(-1, 30), st.integers(0, 18) | st.integers(0, 2))


def slow(rows):
    for i, row in enumerate(rows):
        values = [Decimal(digits).scaleb(-places) for digits, places in zip(row[::2], row[1::2], strict=True)]
        for k, value in enumerate(values):
            if value < 0 or (k < 4 and value == 0):
                return i, 2 * k
        scale = max(row[1:8:2])
        if any(abs(value.scaleb(scale)) >= 10**18 for value in values[:4]):
            return i, DOES_NOT_FIT
        opened, high, low, closed = values[:4]
        if low > min(opened, closed) or high < max(opened, closed):
            return i, OUTSIDE
    return len(rows), FINE


@given(st.lists(st.lists(DECIMAL, min_size=6, max_size=6), min_size=1, max_size=5))
def test_the_first_row_that_cannot_be_a_kline_is_that_of_the_slow_way(rows):
    flat = [[number for pair in row for number in pair] for row in rows]
    assert first_wrong(np.array(flat), PRICES, AMOUNTS) == slow(flat)


@given(st.lists(st.tuples(st.integers(1 - 10**18, 10**18 - 1) | st.integers(-9, 9), st.integers(0, 18))))
def test_decimals_of_one_scale_are_the_same_numbers_or_do_not_fit(pairs):
    digits, places = (np.array([pair[k] for pair in pairs], np.int64) for k in (0, 1))
    scale = max(places.tolist(), default=0)
    exact = [d * 10 ** (scale - p) for d, p in pairs]
    if exact and max(map(abs, exact)) >= 10**18:
        with pytest.raises(DoesNotFit):
            on_one_scale("x", "price", (digits, places))
    else:
        (units,), found = on_one_scale("x", "price", (digits, places))
        assert (units.tolist(), found) == (exact, scale)


def test_the_slow_way_knows_what_fits():
    assert fits([Decimal("0.5"), Decimal(10**16)])
    assert not fits([Decimal("0.05"), Decimal(10**17)])
