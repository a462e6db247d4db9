"""Which trial is best."""

from collections.abc import Sequence


def best_trial(objective: Sequence[float | None]) -> int:
    """Return the index of the highest value; the first of equals. None is below every number."""
    return max(range(len(objective)), key=lambda i: (objective[i] is not None, objective[i] or 0.0, -i))
