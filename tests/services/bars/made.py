"""Made trades: as arrays for kernels and as tuples for their slow twins."""

import numpy as np
from hypothesis import strategies as st

from services.bars.domain.state import Trades

Row = tuple[int, int, int, int, int]

TRADE = st.tuples(st.integers(0, 40), st.integers(1, 50), st.integers(1, 30), st.sampled_from([-1, 1]))


@st.composite
def trade_rows(draw: st.DrawFn, min_size: int = 0, max_size: int = 60) -> list[Row]:
    """Draw trades in id order with times that never decrease: (id, ts, price, quantity, side)."""
    rows, ts, trade_id = [], draw(st.integers(0, 100)), draw(st.integers(0, 5))
    for pause, price, quantity, side in draw(st.lists(TRADE, min_size=min_size, max_size=max_size)):
        ts += pause
        rows.append((trade_id, ts, price, quantity, side))
        trade_id += 1 + (pause % 3 == 0)
    return rows


def arrays_of(rows: list[Row]) -> Trades:
    """Return trades as the read-only arrays that tasks get."""
    columns = [np.array([row[i] for row in rows], np.int64) for i in range(4)]
    side = np.array([row[4] for row in rows], np.int8)
    for column in (*columns, side):
        column.flags.writeable = False
    return Trades(columns[0], columns[1], columns[2], columns[3], side)
