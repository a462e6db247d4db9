"""Signal masks from where the four rules hold and fail, and the bars where a mask changes."""

from typing import NamedTuple

import numpy as np

from tickloom.contracts.signals import LONG_EXIT, SHORT_ENTRY, SHORT_EXIT
from tickloom.kernel import I8, I64, Bool, inlined, kernel

ALL = np.uint64(0x0101010101010101)
"""A rule holds in each of eight bars: a byte a bar, the first is the lowest."""
BAR = np.uint64(8)
LX, SE, SX = (np.uint64(bit.bit_length() - 1) for bit in (LONG_EXIT, SHORT_ENTRY, SHORT_EXIT))


class Changes(NamedTuple):
    """A mask by its changes, (n_changes,): in force from each bar on; before the first it is 0."""

    bar: I64
    mask: I8


class Truths(NamedTuple):
    """Where the four rules hold, and where the entries fail; (n_bars,), rounded up to a multiple of 8 with nothing.

    A rule that does neither is unknown (a value is missing), which is no signal.
    """

    long_entry: Bool
    long_fails: Bool
    long_exit: Bool
    short_entry: Bool
    short_fails: Bool
    short_exit: Bool


@inlined
def _turns_true(holds: np.uint64, fails: np.uint64, failed: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return in which of eight bars a rule turns true, and whether it failed when last known, after them.

    failed  whether it failed when last known, before them: 1 or 0
    """
    if not holds:
        return holds, np.uint64(1) if fails else failed
    if holds | fails == ALL:  # known at each bar: when it was last known is the bar before
        return holds & (fails << BAR | failed), fails >> np.uint64(56)
    turns = np.uint64(0)
    for k in range(8):
        bit = np.uint64(8 * k)
        is_true, is_false = holds >> bit & np.uint64(1), fails >> bit & np.uint64(1)
        turns |= (is_true & failed) << bit
        failed = is_false | (failed & ~is_true)
    return turns, failed


@kernel
def signal_changes(truths: Truths, n_bars: int, rising_edge: bool) -> Changes:
    """Return the changes of the mask that the four rules make.

    rising_edge  whether an entry fires only where its rule turns true: it holds, and failed when last known

    A rule that holds the first time it is known does not turn true there: when it did is before the data. So data
    that begin later give the same entries. Exits fire on every bar where they hold. O(n_bars), eight bars at a time.
    """
    bars, masks, n_changes, before = np.empty(n_bars, np.int64), np.empty(n_bars, np.int8), 0, np.uint64(0)
    long_failed, short_failed = np.uint64(0), np.uint64(0)
    long_entry, long_fails, long_exit, short_entry, short_fails, short_exit = truths
    le8, lf8, lx8 = long_entry.view(np.uint64), long_fails.view(np.uint64), long_exit.view(np.uint64)
    se8, sf8, sx8 = short_entry.view(np.uint64), short_fails.view(np.uint64), short_exit.view(np.uint64)
    for word in range(le8.size):
        long, short = le8[word], se8[word]
        if rising_edge:
            long, long_failed = _turns_true(long, lf8[word], long_failed)
            short, short_failed = _turns_true(short, sf8[word], short_failed)
        mask = long | lx8[word] << LX | short << SE | sx8[word] << SX
        changed = mask ^ (mask << BAR | before)
        before = mask >> np.uint64(56)
        if changed:
            for i in range(8 * word, min(8 * word + 8, n_bars)):
                if changed & np.uint64(0xFF):
                    bars[n_changes], masks[n_changes] = i, np.int8(mask & np.uint64(0xFF))
                    n_changes += 1
                changed, mask = changed >> BAR, mask >> BAR
    return Changes(bars[:n_changes].copy(), masks[:n_changes].copy())


@kernel
def mask_changes(mask: I8) -> Changes:
    """Return the changes of a mask that is given bar by bar, (n_bars,). O(n_bars)."""
    bars, n_changes, before = np.empty(mask.size, np.int64), 0, 0
    for i in range(mask.size):
        if mask[i] != before:
            bars[n_changes], before = i, mask[i]
            n_changes += 1
    return Changes(bars[:n_changes].copy(), mask[bars[:n_changes]])
