"""Thin out a line so that its picture stays the same: keep what each column of pixels shows of it.

Source: Jugel, Jerzak, Hackenbroich, Markl (2014), M4: A Visualization-Oriented Time Series Data Aggregation, PVLDB 7.
"""

from itertools import pairwise

import numpy as np

from tickloom.kernel import F64, I64


def outline(values: F64, n_groups: int) -> I64:
    """Return the rows to draw, strictly increasing: of each group the first, the lowest, the highest and the last.

    values    (n_rows,)  finite
    n_groups             >= 1, runs of neighbours of nearly equal length

    At most 4 * n_groups rows; all of them when there are no more than that. The extremes of the whole are kept.
    """
    if values.size <= 4 * n_groups:
        return np.arange(values.size)
    edges = np.linspace(0, values.size, n_groups + 1).astype(np.int64)
    keep = [
        start + row
        for start, end in pairwise(edges.tolist())
        for row in (0, int(values[start:end].argmin()), int(values[start:end].argmax()), end - start - 1)
    ]
    return np.unique(np.array(keep, np.int64))
