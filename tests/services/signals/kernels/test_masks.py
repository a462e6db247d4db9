"""Masks against their twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.signals.kernels.masks import mask_changes, signal_mask
from tests.naive import signals as naive

TRUTHS = {-1: None, 0: False, 1: True}
rule = st.integers(-1, 1)


@settings(deadline=None)
@given(bars=st.lists(st.tuples(rule, rule, rule, rule), max_size=60), rising_edge=st.booleans())
def test_masks_equal_their_twin(bars: list[tuple[int, ...]], rising_edge: bool) -> None:
    rules = np.array(bars, np.int8).reshape(-1, 4).T.copy()
    expected = naive.signal_mask(*([TRUTHS[t] for t in row.tolist()] for row in rules), rising_edge)
    assert signal_mask(*rules, rising_edge).tolist() == expected


@settings(deadline=None)
@given(mask=st.lists(st.integers(0, 15), max_size=60))
def test_the_changes_give_the_mask_back(mask: list[int]) -> None:
    bars = mask_changes(np.array(mask, np.int8)).tolist()
    rebuilt = [next((mask[b] for b in reversed(bars) if b <= i), 0) for i in range(len(mask))]
    assert rebuilt == mask
    assert all(mask[b] != (mask[b - 1] if b else 0) for b in bars)


@settings(deadline=None)
@given(
    bars=st.lists(st.tuples(rule, rule, rule, rule), min_size=1, max_size=60),
    cut=st.integers(1, 60),
    edge=st.booleans(),
)
def test_c1_a_mask_does_not_depend_on_later_bars(bars: list[tuple[int, ...]], cut: int, edge: bool) -> None:
    rules = np.array(bars, np.int8).T.copy()
    whole = signal_mask(*rules, edge)
    assert signal_mask(*rules[:, :cut].copy(), edge).tolist() == whole[:cut].tolist()


@pytest.mark.parametrize(
    ("truths", "fires"),
    [
        ([0, 1, 1, 0, 1], [1, 4]),  # where it turns true, each time
        ([1, 1, 0, 1], [3]),  # true from the start: when it turned true is before the data
        ([-1, -1, 1, 1], []),  # the same after a warm-up
        ([0, -1, 1], [2]),  # false when last known
        ([1, -1, 1], []),  # true when last known: nothing turned
    ],
)
def test_a_rising_edge_is_true_now_and_false_when_last_known(truths: list[int], fires: list[int]) -> None:
    entry, never = np.array(truths, np.int8), np.zeros(len(truths), np.int8)
    assert np.flatnonzero(signal_mask(entry, never, never, never, True)).tolist() == fires
    assert (
        np.flatnonzero(signal_mask(entry, never, never, never, False)).tolist() == np.flatnonzero(entry == 1).tolist()
    )
