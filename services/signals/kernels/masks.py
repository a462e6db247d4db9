"""Signal masks from where the four rules hold and fail, and the bars where a mask changes."""

from typing import Final, NamedTuple

import numpy as np

from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT
from tickloom.kernel import I8, I64, U64, inlined, kernel

ONE, LAST = np.uint64(1), np.uint64(63)
"""The first bar of a word of 64, and how far it is from the last."""
PRIME: Final = np.uint64(67)
_BITS = {pow(2, k, 67): k for k in range(64)}
PLACE: Final = np.array([_BITS.get(rest, -1) for rest in range(67)])
"""Which bit is the only one of a word, by the word's remainder: powers of two differ in theirs by 67."""


class Changes(NamedTuple):
    """A mask by its changes, (n_changes,): in force from each bar on; before the first it is 0."""

    bar: I64
    mask: I8


@inlined
def _turns_true(holds: np.uint64, fails: np.uint64, failed: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return in which of 64 bars a rule turns true, and whether it failed when last known, after them.

    failed  whether it failed when last known, before them: 1 or 0
    """
    if not holds:
        return holds, ONE if fails else failed
    unknown = ~(holds | fails)
    last_failed = fails | (unknown & failed)
    if unknown:  # carry what was last known over 1, 2, 4, ... bars that are not
        for k in range(6):
            step = ONE << np.uint64(k)
            last_failed |= unknown & (last_failed << step)
            unknown &= unknown << step
    return holds & (last_failed << ONE | failed), last_failed >> LAST


@inlined
def _differs(holds: np.uint64, before: np.uint64) -> np.uint64:
    """Return in which of 64 bars a rule is not what it was a bar earlier; `before` says that of the first: 1 or 0."""
    return holds ^ (holds << ONE | before)


@kernel
def signal_changes(
    long_entry: U64, long_exit: U64, short_entry: U64, short_exit: U64, n_bars: int, rising_edge: bool
) -> Changes:
    """Return the changes of the mask that the four rules make.

    long_entry, ...  (2, n_words)  where a rule holds and where it fails, a bit a bar, the first is the lowest; a rule
                                   that does neither is unknown (a value is missing), which is no signal
    rising_edge      whether an entry fires only where its rule turns true: it holds, and failed when last known

    A rule that holds the first time it is known does not turn true there: when it did is before the data. So data
    that begin later give the same entries. Exits fire on every bar where they hold. O(n_bars), 64 bars at a time.
    """
    bars, masks, n_changes = np.empty(n_bars, np.int64), np.empty(n_bars, np.int8), 0
    long_failed = short_failed = le_before = lx_before = se_before = sx_before = np.uint64(0)
    for word in range(long_entry.shape[1]):
        le, lx, se, sx = long_entry[0, word], long_exit[0, word], short_entry[0, word], short_exit[0, word]
        if rising_edge:
            le, long_failed = _turns_true(le, long_entry[1, word], long_failed)
            se, short_failed = _turns_true(se, short_entry[1, word], short_failed)
        changed = _differs(le, le_before) | _differs(lx, lx_before) | _differs(se, se_before) | _differs(sx, sx_before)
        le_before, lx_before, se_before, sx_before = le >> LAST, lx >> LAST, se >> LAST, sx >> LAST
        while changed:
            lowest = changed & (~changed + ONE)
            bar = 64 * word + PLACE[lowest % PRIME]
            if bar >= n_bars:  # the last word is longer than the bars
                break
            mask = (LONG_ENTRY if le & lowest else 0) | (LONG_EXIT if lx & lowest else 0)
            mask |= (SHORT_ENTRY if se & lowest else 0) | (SHORT_EXIT if sx & lowest else 0)
            bars[n_changes], masks[n_changes] = bar, mask
            n_changes += 1
            changed ^= lowest
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
