"""Masks against their twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.signals.kernels.masks import mask_changes, signal_changes
from tests.naive import signals as naive

TRUTHS = {-1: None, 0: False, 1: True}
rule = st.integers(-1, 1)
known = st.integers(0, 1)
# Two of them are longer than a word of 64 bars; known throughout, known nowhere, and mixed.
stretch = st.lists(st.tuples(rule, rule, rule, rule), max_size=60) | st.lists(
    st.tuples(known, known, known, known), max_size=60
)


def masks(rules: np.ndarray, rising_edge: bool) -> list[int]:
    """The mask of each bar, from truths of (4, n_bars)."""
    n_bars = rules.shape[1]
    wide = np.ones((4, -(-n_bars // 64) * 64))  # what is beyond the bars may be anything
    wide[:, :n_bars] = rules
    truths = np.packbits([wide == 1, wide == 0], axis=2, bitorder="little").view(np.uint64)
    bar, mask = signal_changes(*truths.transpose(1, 0, 2).copy(), n_bars, rising_edge)
    assert (np.diff(bar) > 0).all()
    assert (np.diff(mask, prepend=0) != 0).all()
    return [int(mask[k - 1]) if k else 0 for k in np.searchsorted(bar, np.arange(n_bars), side="right")]


@settings(deadline=None)
@given(bars=stretch | st.builds(lambda a, b: a + b, stretch, stretch), rising_edge=st.booleans())
def test_masks_equal_their_twin(bars: list[tuple[int, ...]], rising_edge: bool) -> None:
    rules = np.array(bars, np.int8).reshape(-1, 4).T.copy()
    expected = naive.signal_mask(*([TRUTHS[t] for t in row.tolist()] for row in rules), rising_edge)
    assert masks(rules, rising_edge) == expected


@settings(deadline=None)
@given(mask=st.lists(st.integers(0, 15), max_size=60))
def test_the_changes_give_the_mask_back(mask: list[int]) -> None:
    bars, masks = (column.tolist() for column in mask_changes(np.array(mask, np.int8)))
    rebuilt = [next((mask[b] for b in reversed(bars) if b <= i), 0) for i in range(len(mask))]
    assert rebuilt == mask
    assert masks == [mask[b] for b in bars]
    assert all(mask[b] != (mask[b - 1] if b else 0) for b in bars)


@settings(deadline=None)
@given(
    bars=st.lists(st.tuples(rule, rule, rule, rule), min_size=1, max_size=60),
    cut=st.integers(1, 60),
    edge=st.booleans(),
)
def test_c1_a_mask_does_not_depend_on_later_bars(bars: list[tuple[int, ...]], cut: int, edge: bool) -> None:
    rules = np.array(bars, np.int8).T.copy()
    assert masks(rules[:, :cut], edge) == masks(rules, edge)[:cut]


@pytest.mark.parametrize(
    ("truths", "fires"),
    [
        ([0, 1, 1, 0, 1], [1, 4]),  # where it turns true, each time
        ([1, 1, 0, 1], [3]),  # true from the start: when it turned true is before the data
        ([-1, -1, 1, 1], []),  # the same after a warm-up
        ([0, -1, 1], [2]),  # false when last known
        ([1, -1, 1], []),  # true when last known: nothing turned
        ([0, *[-1] * 62, 1], [63]),  # as long ago as a word of 64 bars has room for
        ([0, *[-1] * 200, 1, 0, *[-1] * 63, 1], [201, 266]),  # several words ago
        ([1, *[-1] * 200, 1, -1, 0, *[1] * 70], [204]),
    ],
)
def test_a_rising_edge_is_true_now_and_false_when_last_known(truths: list[int], fires: list[int]) -> None:
    rules = np.array([truths, *([0] * len(truths) for _ in range(3))])
    assert np.flatnonzero(masks(rules, True)).tolist() == fires
    assert np.flatnonzero(masks(rules, False)).tolist() == np.flatnonzero(rules[0] == 1).tolist()
