"""When a position is entered and left, and at which price, before costs.

A signal is known at the close of its bar and acted on at the next bar's open: bar i looks at signal[i - 1].
"""

from services.backtest.kernels.types import OPEN, SIGNAL, STOP, Prices
from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT
from tickloom.kernel import I8, kernel

_ENTRY = LONG_ENTRY | SHORT_ENTRY


@kernel
def entry_side(mask: int) -> int:
    """Return +1 to go long, -1 to go short, 0 to stay out.

    An exit of a side beats an entry of it; entries of both sides at once contradict each other, and nothing is done.
    """
    long = (mask & (LONG_ENTRY | LONG_EXIT)) == LONG_ENTRY
    short = (mask & (SHORT_ENTRY | SHORT_EXIT)) == SHORT_ENTRY
    return int(long) - int(short)


@kernel
def find_entry(signal: I8, start: int) -> tuple[int, int]:
    """Return the first bar >= start at whose open a position is entered, and its side; (n_bars, 0) without one.

    signal  (n_bars,)  masks
    start              >= 1: the first bar has no signal before it
    """
    for i in range(start, signal.size):
        if signal[i - 1] & _ENTRY:
            side = entry_side(signal[i - 1])
            if side != 0:
                return i, side
    return signal.size, 0


@kernel
def find_exit(prices: Prices, signal: I8, entry: int, side: int, stop: float) -> tuple[int, float, int]:
    """Return the bar in which the position ends, its price before slippage, and the reason.

    An exit signal fills at the open, before anything else in its bar. The stop is watched from the entry bar on, whose
    low and high come after its open; a bar that opens beyond the stop fills at its open, so never better than either.
    """
    exit_bit = LONG_EXIT if side > 0 else SHORT_EXIT
    for i in range(entry, signal.size):
        if signal[i - 1] & exit_bit:
            return i, prices.open[i], SIGNAL
        if side > 0 and prices.low[i] <= stop:
            return i, min(stop, prices.open[i]), STOP
        if side < 0 and prices.high[i] >= stop:
            return i, max(stop, prices.open[i]), STOP
    return signal.size, prices.close[signal.size - 1], OPEN
