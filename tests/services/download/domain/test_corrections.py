"""T09: which gaps share a request, which are paid for, and what became of each."""

from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.download.domain.corrections import (
    Correction,
    Difference,
    Gap,
    Outcome,
    Span,
    affordable,
    in_both,
    nothing,
    settle,
    spans,
    unequal,
)
from tests.naive import download as naive
from tickloom.contracts.artifact import Part

DAY = date(2024, 1, 5)
IDS = st.sets(st.integers(0, 60), min_size=1)


def gap(after, before, symbol="BTCUSDT"):
    return Gap(symbol, DAY, after, before, DAY, DAY)


def test_neighbouring_gaps_share_a_request_and_far_ones_do_not():
    near = [gap(10, 12), gap(500, 600), gap(900, 1009)]
    assert spans(near, 1000) == [Span(tuple(near))]
    assert Span(tuple(near)).requests(1000) == 1
    far = [gap(10, 12), gap(900, 1010), gap(1020, 1030), gap(900, 1010, "ETHUSDT")]
    assert [len(span.gaps) for span in spans(far, 1000)] == [1, 2, 1]
    assert spans([], 1000) == []


@pytest.mark.parametrize(("before", "requests"), [(2, 1), (999, 1), (1000, 2), (1999, 2), (2_000_000, 2001)])
def test_a_gap_takes_the_requests_that_its_ids_may_need(before, requests):
    assert Span((gap(0, before),)).requests(1000) == requests


def test_small_spans_are_paid_for_first_and_none_in_part():
    small, middle, large = Span((gap(5000, 5002),)), Span((gap(9000, 11_500),)), Span((gap(0, 4500),))
    assert affordable([large, middle, small], 1000, 4) == [small, middle]
    assert affordable([large, middle, small], 1000, 9) == [small, middle, large]
    assert affordable([large, middle, small], 1000, 8) == [small, middle]
    assert affordable([large, middle, small], 1000, 0) == []


@given(ids=IDS, limit=st.integers(2, 12))
def test_every_gap_is_in_one_span_and_its_requests_reach_its_end(ids, limit):
    gaps = [gap(after, before) for after, before in naive.holes(ids)]
    found = spans(gaps, limit)
    assert [one for span in found for one in span.gaps] == gaps
    for span in found:
        assert span.requests(limit) * limit >= span.before - span.after + 1
        assert len(span.gaps) == 1 or span.requests(limit) == 1
    assert all(a.before <= b.after for a, b in pairwise(found))


@given(left=IDS, right=IDS)
def test_ids_in_both_are_found_where_they_stand(left, right):
    a, b = (np.array(sorted(ids), np.int64) for ids in (left, right))
    here, there = in_both(a, b)
    assert a[here].tolist() == b[there].tolist() == sorted(left & right)
    assert in_both(a, np.empty(0, np.int64))[0].size == 0


@given(
    left=st.integers(-(10**18) + 1, 10**18 - 1),
    right=st.integers(-(10**18) + 1, 10**18 - 1),
    scales=st.tuples(st.integers(0, 18), st.integers(0, 18)),
    same=st.booleans(),
)
def test_decimals_on_two_scales_are_compared_exactly(left, right, scales, same):
    if same and left * 10 ** (scales[1] - min(scales)) < 10**18:
        right = left * 10 ** (scales[1] - min(scales)) // 10 ** (scales[0] - min(scales))
    found = unequal(np.array([left]), scales[0], np.array([right]), scales[1])
    assert found.tolist() == [naive.value(left, scales[0]) != naive.value(right, scales[1])]


def test_what_a_good_answer_does_not_have_the_exchange_never_had():
    one, two, three = gap(10, 20), gap(30, 33), gap(5000, 5005)
    first, second = Span((one, two)), Span((three,))
    answers = {
        first: Part(facts={"filled": [9, 1], "why": "", "requests": 1}),
        second: Part(facts=nothing(second, "not asked")),
    }
    assert settle([one, two, three], answers) == {
        one: Outcome(9, 0, ""),
        two: Outcome(1, 1, ""),
        three: Outcome(0, 0, "not asked"),
    }


def test_a_correction_is_told_in_plain_values():
    one = Correction(DAY, "daily", ["a", "b", "a"], 90, 100, 12, 3, beside=Difference(2, 12, 5))
    assert one.facts() == {
        "day": "2024-01-05",
        "by": "daily",
        "why": "a; b",
        "rows_before": 90,
        "rows_after": 100,
        "ids_filled": 12,
        "ids_missing": 3,
        "ids_unknown": 0,
        "only_monthly": 2,
        "only_daily": 12,
        "differs": 5,
    }
