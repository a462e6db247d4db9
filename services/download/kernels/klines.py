"""What a kline must be, asked row by row."""

from typing import Final

import numpy as np

from tickloom.kernel import I64, kernel

FINE, OUTSIDE, DOES_NOT_FIT = -1, -2, -3
"""What first_wrong says instead of the slot that is at fault."""

_TEN: Final = np.array([10**n for n in range(19)], np.int64)
_MOST: Final = np.array([(10**18 - 1) // 10**n for n in range(19)], np.int64)


@kernel
def first_wrong(rows: I64, prices: I64, amounts: I64) -> tuple[int, int]:
    """Return the first row that cannot be a kline, and its fault; (n, FINE) when all can be.

    rows     (n, width)  as parse_rows leaves them: decimals are digits, then places
    prices   (4,)  slots of open, high, low, close: above 0, and low and high hold the others between them (OUTSIDE),
             as integers of one scale (DOES_NOT_FIT where 18 digits are too few for that)
    amounts  (m,)  slots of what is 0 or more

    O(n).
    """
    units = np.empty(4, np.int64)
    for i in range(rows.shape[0]):
        scale = 0
        for k in range(4):
            if rows[i, prices[k]] <= 0:
                return i, prices[k]
            scale = max(scale, rows[i, prices[k] + 1])
        for slot in amounts:
            if rows[i, slot] < 0:
                return i, slot
        for k in range(4):
            places = scale - rows[i, prices[k] + 1]
            if rows[i, prices[k]] > _MOST[places]:
                return i, DOES_NOT_FIT
            units[k] = rows[i, prices[k]] * _TEN[places]
        opened, high, low, closed = units
        if low > min(opened, closed) or high < max(opened, closed):
            return i, OUTSIDE
    return rows.shape[0], FINE
