"""Ids of void rows as runs, and how far the known ids run on by way of them."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.download.domain.voids import between, ids_of, in_records, reach, runs_of

IDS = st.sets(st.integers(0, 40))


def ids(found):
    return np.array(sorted(found), np.int64)


@given(IDS)
def test_runs_are_the_ids_they_were_made_of(found):
    runs = runs_of(ids(found))
    assert ids_of(runs).tolist() == sorted(found)
    assert all(after > last + 1 for (_, last), (after, _) in pairwise(runs))


@given(IDS, IDS)
def test_the_ids_of_several_records_are_each_there_once(one, other):
    assert in_records([{"void_ids": runs_of(ids(found))} for found in (one, other)]).tolist() == sorted(one | other)


@given(IDS, st.integers(-1, 41), st.integers(-1, 41))
def test_ids_between_two_are_those_that_asking_each_finds(found, after, before):
    assert between(ids(found), after, before).tolist() == [i for i in sorted(found) if after < i < before]


@given(IDS, st.integers(-1, 41))
def test_known_ids_run_on_as_far_as_counting_up_finds_void_ones(found, last):
    on = last
    while on + 1 in found:
        on += 1
    assert reach(ids(found), last) == on
