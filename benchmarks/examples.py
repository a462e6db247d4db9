"""Markets of a few bars, one for each thing in which engines differ."""

from typing import Any, NamedTuple

import numpy as np

MINUTES_15 = 900_000_000
FIRST = 1_672_531_200_000_000


class Example(NamedTuple):
    """Open, high, low, close of each bar, what is known at its close, and the distances of stop and target."""

    about: str
    bars: list[tuple[float, float, float, float]]
    masks: list[int]
    stop_loss_rate: float = 0.02
    slippage_rate: float = 0.0
    take_profit_rate: float = 0.0

    def market(self) -> dict[str, Any]:
        """Return it as arrays: open, high, low, close, ts_close (n_bars,), masks (1, n_bars)."""
        columns = dict(zip(("open", "high", "low", "close"), np.array(self.bars, np.float64).T, strict=True))
        ts_close = FIRST + MINUTES_15 * np.arange(1, len(self.bars) + 1)
        return columns | {"ts_close": ts_close, "masks": np.array([self.masks], np.int8)}


FLAT = (100.0, 100.5, 99.5, 100.0)
DIP = (100.0, 100.5, 97.0, 100.0)

EXAMPLES = {
    "costs": Example(
        "In at the open of bar 2, out at that of bar 4, at 100 both.",
        [FLAT, FLAT, FLAT, FLAT, FLAT, FLAT],
        [0, 1, 0, 2, 0, 0],
        slippage_rate=0.0005,
    ),
    "entry bar": Example(
        "Bar 2 falls by 3 % after its open, and comes back.",
        [FLAT, FLAT, DIP, FLAT, FLAT, FLAT],
        [0, 1, 0, 2, 0, 0],
    ),
    "stop or signal": Example(
        "The exit signal is known before bar 4, and bar 4 falls by 3 % after its open.",
        [FLAT, FLAT, FLAT, FLAT, DIP, FLAT],
        [0, 1, 0, 2, 0, 0],
    ),
    "gap at the entry": Example(
        "Bar 2 opens at 101, above the close of 100 that said to buy; bar 3 falls to 98.5.",
        [FLAT, FLAT, (101.0, 101.5, 100.5, 101.0), (101.0, 101.0, 98.5, 100.0), FLAT, FLAT],
        [0, 1, 0, 0, 2, 0],
    ),
    "gap through the stop": Example(
        "Bar 3 opens at 90.",
        [FLAT, FLAT, FLAT, (90.0, 91.0, 89.0, 90.0), FLAT, FLAT],
        [0, 1, 0, 0, 2, 0],
    ),
    "part of a cent": Example(
        "Bought at 100.01: the stop belongs at 98.0098, and bar 3 falls to 98.01.",
        [FLAT, (100.0, 100.5, 99.5, 100.01), (100.01, 100.5, 99.5, 100.0), (100.0, 100.5, 98.01, 100.0), FLAT, FLAT],
        [0, 1, 0, 0, 2, 0],
    ),
    "stop and target": Example(
        "Bar 3 goes to 104 and to 97, with the target at 103.",
        [FLAT, FLAT, FLAT, (100.0, 104.0, 97.0, 100.0), FLAT, FLAT],
        [0, 1, 0, 0, 2, 0],
        take_profit_rate=0.03,
    ),
    "costs of a target": Example(
        "Bar 3 goes to 104, through the target, 3 % above the fill.",
        [FLAT, FLAT, FLAT, (100.0, 104.0, 99.5, 100.0), FLAT, FLAT],
        [0, 1, 0, 0, 2, 0],
        slippage_rate=0.0005,
        take_profit_rate=0.03,
    ),
    "touch of the target": Example(
        "Bar 3 goes to 103, where the target is, and no further.",
        [FLAT, FLAT, FLAT, (100.0, 103.0, 99.5, 100.0), FLAT, FLAT],
        [0, 1, 0, 0, 2, 0],
        take_profit_rate=0.03,
    ),
    "gap beyond the target": Example(
        "Bar 3 opens at 105, with the target at 103.",
        [FLAT, FLAT, FLAT, (105.0, 106.0, 104.0, 105.0), FLAT, FLAT],
        [0, 1, 0, 0, 2, 0],
        take_profit_rate=0.03,
    ),
    "short": Example(
        "Sold at 100; bar 3 rises to 103, through the stop at 102.",
        [FLAT, FLAT, FLAT, (100.0, 103.0, 99.5, 100.0), FLAT, FLAT],
        [0, 4, 0, 0, 8, 0],
    ),
    "turn": Example(
        "Bought at 100; before bar 4 it is said to leave and to sell short; before bar 6, to buy back.",
        [FLAT, FLAT, FLAT, FLAT, FLAT, FLAT, FLAT],
        [0, 1, 0, 2 | 4, 0, 8, 0],
    ),
}
"""1 buys, 2 sells what was bought, 4 sells short, 8 buys back.

All are entered at bar 2: backtesting.py does not ask its strategy at the close of bar 0.
"""
