"""Scales and sums: exact, or a named error."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.download.domain.errors import DoesNotFit
from services.download.domain.scale import decimal_text, exact_dot, exact_sum, on_one_scale

UNITS = st.integers(0, 10**18 - 1)


@given(st.lists(st.tuples(st.integers(-(10**8), 10**8), st.integers(0, 9)), max_size=20))
def test_the_scale_is_the_smallest_that_holds_every_value(pairs):
    digits = np.array([d for d, _ in pairs], np.int64)
    places = np.array([p for _, p in pairs], np.int64)
    (units,), scale = on_one_scale("x", "price", (digits, places))
    assert scale == max((p for _, p in pairs), default=0)
    for unit, (d, p) in zip(units.tolist(), pairs, strict=True):
        assert Decimal(unit).scaleb(-scale) == Decimal(d).scaleb(-p)


def test_a_value_beyond_18_digits_on_the_common_scale_is_refused():
    one, fits = np.array([1]), np.array([10**15])
    with pytest.raises(DoesNotFit):
        on_one_scale("x", "price", (np.array([10**15, 1]), np.array([0, 3])))
    assert on_one_scale("x", "price", (fits, one * 0), (one, one * 2))[1] == 2


@given(arrays(np.int64, st.integers(0, 30), elements=UNITS), st.data())
def test_sums_and_products_are_exact_where_int64_would_overflow(left, data):
    right = data.draw(arrays(np.int64, left.size, elements=UNITS))
    assert exact_sum(left) == sum(left.tolist())
    assert exact_dot(left, right) == sum(a * b for a, b in zip(left.tolist(), right.tolist(), strict=True))


@given(st.integers(-(10**30), 10**30), st.integers(0, 20))
def test_the_text_of_a_decimal_reads_back_as_the_same_number(units, scale):
    text = decimal_text(units, scale)
    sign, digits, exponent = Decimal(text).as_tuple()
    assert int("".join(map(str, digits))) * 10 ** (scale + exponent) * (-1) ** sign == units
    assert "E" not in text
    assert not ("." in text and text.endswith("0"))
