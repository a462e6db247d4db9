"""The bars of many symbols on one timeline.

What happens at one moment is put in this order: first all bars that close, then all that open. Where a symbol has more
bars at that moment (bars of no duration), the next close follows, and so on: the order of a symbol's bars is kept.
"""

from collections.abc import Sequence

import numpy as np

from services.backtest.kernels.portfolio_types import Markets
from services.backtest.kernels.types import Prices
from tickloom.kernel import I64


def merged(prices: Sequence[Prices], ts_open: Sequence[I64], *, read_volatility: bool, warm_up: int) -> Markets:
    """Return the symbols' bars, in the order given, as the engine of many symbols reads them.

    ts_open          the time of each bar's open; one before the close of the bar in front of it counts as that close
    read_volatility  take over the volatility of each bar, from bar `warm_up` of its symbol on
    """
    offset = np.concatenate([[0], np.cumsum([one.close.size for one in prices])])
    parts = [_events(one.ts_close, opened) for one, opened in zip(prices, ts_open, strict=True)]
    symbol = np.repeat(np.arange(len(prices)), [ts.size for ts, _, _ in parts])
    ts, phase = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    bar = np.concatenate([part[2] + start for part, start in zip(parts, offset, strict=False)])
    order = np.lexsort((symbol, phase, ts))
    ts, phase = ts[order], phase[order]
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(ts) != 0) | (np.diff(phase) != 0)]))
    volatility = [
        np.where(np.arange(one.close.size) >= warm_up, one.volatility, np.nan) for one in prices if read_volatility
    ]
    return Markets(
        open=np.concatenate([one.open for one in prices]),
        high=np.concatenate([one.high for one in prices]),
        low=np.concatenate([one.low for one in prices]),
        close=np.concatenate([one.close for one in prices]),
        volatility=np.concatenate(volatility) if volatility else np.empty(0),
        step_ts=ts[starts],
        step_opens=phase[starts] % 2 == 1,
        step_first=np.append(starts, ts.size),
        event_symbol=symbol[order],
        event_bar=bar[order],
    )


def _events(ts_close: I64, ts_open: I64) -> tuple[I64, I64, I64]:
    """Return time, phase and bar of a symbol's opens and closes in their order; opens have odd phases."""
    opened = np.minimum(ts_open, ts_close)
    opened[1:] = np.maximum(opened[1:], ts_close[:-1])
    ts = np.stack([opened, ts_close], axis=1).ravel()
    k = np.arange(ts.size)
    first = np.maximum.accumulate(np.where(np.concatenate([[True], np.diff(ts) != 0]), k, 0))
    return ts, k - first + (first % 2 == 0), k // 2
