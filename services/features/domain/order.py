"""Bars are read in time order, or not at all."""

import numpy as np

from services.features.domain.errors import BarsOutOfOrder
from tickloom.kernel import I64


def check_order(symbol: str, ts_close: I64) -> None:
    """Raise BarsOutOfOrder where ts_close, (n_bars,) microseconds, falls. Equal times are right for event bars."""
    falls = np.flatnonzero(np.diff(ts_close) < 0)
    if falls.size:
        raise BarsOutOfOrder(symbol, int(falls[0]) + 1)
