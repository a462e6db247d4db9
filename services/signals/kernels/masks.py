"""Signal masks from the truth of the four rules, and the bars where a mask changes."""

import numpy as np

from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT
from tickloom.kernel import I8, I64, kernel

UNKNOWN, FALSE, TRUE = -1, 0, 1


@kernel
def signal_mask(long_entry: I8, long_exit: I8, short_entry: I8, short_exit: I8, rising_edge: bool) -> I8:
    """Return the mask of every bar, (n_bars,).

    rules        (n_bars,) each: 1 true, 0 false, -1 unknown (a value is missing), which is no signal
    rising_edge  whether an entry fires only where its rule turns true: it is true, and was false when last known

    A rule that is true the first time it is known does not turn true there: when it did is before the data. So data
    that begin later give the same entries. Exits fire on every bar where they are true.
    """
    mask = np.zeros(long_entry.size, np.int8)
    was_long, was_short = UNKNOWN, UNKNOWN
    for i in range(mask.size):
        if long_entry[i] == TRUE and (was_long == FALSE or not rising_edge):
            mask[i] |= LONG_ENTRY
        if long_exit[i] == TRUE:
            mask[i] |= LONG_EXIT
        if short_entry[i] == TRUE and (was_short == FALSE or not rising_edge):
            mask[i] |= SHORT_ENTRY
        if short_exit[i] == TRUE:
            mask[i] |= SHORT_EXIT
        was_long = was_long if long_entry[i] == UNKNOWN else long_entry[i]
        was_short = was_short if short_entry[i] == UNKNOWN else short_entry[i]
    return mask


@kernel
def mask_changes(mask: I8) -> I64:
    """Return the bars whose mask differs from the bar's before, (n_changes,); before the first bar it is 0."""
    bars, n_changes, before = np.empty(mask.size, np.int64), 0, 0
    for i in range(mask.size):
        if mask[i] != before:
            bars[n_changes], before = i, mask[i]
            n_changes += 1
    return bars[:n_changes].copy()
