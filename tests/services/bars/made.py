"""Made trades: as arrays for kernels and as tuples for their slow twins."""

import numpy as np
from hypothesis import strategies as st

from services.bars.domain.state import Trades

Row = tuple[int, int, int, int, int]


@st.composite
def trade_rows(draw: st.DrawFn, min_size: int = 0, max_size: int = 60) -> list[Row]:
    """Draw trades in id order whose times never decrease, some the time before: (id, ts, price, quantity, side).

    Four bytes a trade and one draw for all: a draw for each number would cost more than what is tested with them.
    """
    n, ts, trade_id = draw(st.integers(min_size, max_size)), draw(st.integers(0, 100)), draw(st.integers(0, 5))
    drawn, rows = draw(st.binary(min_size=4 * n, max_size=4 * n)), []
    for pause, price, quantity, side in zip(drawn[::4], drawn[1::4], drawn[2::4], drawn[3::4], strict=True):
        pause %= 64
        ts += pause if pause <= 40 else 0
        rows.append((trade_id, ts, 1 + price % 50, 1 + quantity % 30, 1 if side % 2 else -1))
        trade_id += 1 + (pause % 3 == 0)
    return rows


def arrays_of(rows: list[Row]) -> Trades:
    """Return trades as the read-only arrays that tasks get."""
    columns = [np.array([row[i] for row in rows], np.int64) for i in range(4)]
    side = np.array([row[4] for row in rows], np.int8)
    for column in (*columns, side):
        column.flags.writeable = False
    return Trades(columns[0], columns[1], columns[2], columns[3], side)
