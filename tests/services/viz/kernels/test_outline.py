import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.viz.kernels.outline import outline
from tests.naive import viz as naive

lines = arrays(np.float64, st.integers(0, 300), elements=st.integers(-5, 5).map(float))
group_counts = st.sampled_from([1, 2, 4, 8, 16])  # powers of two: their borders are exact in floats


@given(lines, group_counts)
def test_it_equals_the_plain_search(values, n_groups):
    assert outline(values, n_groups).tolist() == naive.outline(values.tolist(), n_groups)


@given(lines, group_counts)
def test_ends_and_extremes_are_kept_in_order_and_few(values, n_groups):
    rows = outline(values, n_groups)
    assert (np.diff(rows) > 0).all()
    assert rows.size <= 4 * n_groups
    if values.size:
        kept = values[rows]
        assert (kept.min(), kept.max(), kept[0], kept[-1]) == (values.min(), values.max(), values[0], values[-1])
