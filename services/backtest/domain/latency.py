"""Signals that take time to arrive: what an account has heard by each open."""

import numpy as np

from services.backtest.kernels.types import Signal
from tickloom.kernel import I8, I64


def acting_bars(ts_open: I64, ts_close: I64, latency_us: int) -> I64:
    """Return for each bar the one at whose open its signal is acted on, (n_bars,); n_bars where there is none.

    That is the first bar after it that opens at or after its close + latency_us. Times are microseconds.
    """
    arrived = np.searchsorted(ts_open, ts_close + latency_us)
    return np.maximum(arrived, np.arange(1, ts_open.size + 1))


def late(signal: Signal, acting: I64) -> Signal:
    """Return the signal as it is heard: what arrives between two opens is acted on together, at the second one.

    acting  as `acting_bars` returns it. A bar of the result says what its next open is to act on.
    """
    masks = masks_of(signal, acting.size)
    said = np.flatnonzero(masks)
    said = said[acting[said] < acting.size]
    heard = np.zeros_like(masks)
    np.bitwise_or.at(heard, acting[said] - 1, masks[said])
    return changes_of(heard)


def changes_of(masks: I8) -> Signal:
    """Return what each bar says, (n_bars,), as the bars at which it changes; before the first, nothing is said."""
    bar = np.flatnonzero(masks[1:] != masks[:-1]) + 1
    if masks.size and masks[0]:
        bar = np.concatenate([[0], bar])
    return Signal(bar, masks[bar])


def masks_of(signal: Signal, n_bars: int) -> I8:
    """Return what the signal says at each bar, (n_bars,)."""
    first = int(signal.bar[0]) if signal.bar.size else n_bars
    lengths = np.diff(np.append(signal.bar, n_bars))
    return np.concatenate([np.zeros(first, np.int8), np.repeat(signal.mask, lengths)]).astype(np.int8)
