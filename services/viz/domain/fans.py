"""Pictures of what the same returns could have come to: bands around the equity as it was, on a log scale."""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

from services.viz.domain.words import percent

Fields = dict[str, Any]
WIDTH, HEIGHT = 1000, 160
LEAST = 0.01
"""Who has lost more than 99 % is drawn there: a log scale has no nothing."""

LABELS = {
    "bootstrap_of_days": "days drawn anew",
    "bootstrap_of_trades": "trades drawn anew",
    "shuffled_trades": "trades in another order",
}


def fans(facts: Mapping[str, Any]) -> list[Fields]:
    """Return a picture for each way to draw again that the record has: two bands, their middle, and the equity itself.

    Each is in a box of WIDTH x HEIGHT, y downwards. The bands are the outer and the inner pair of the quantiles.
    """
    return [fan(label, facts[key]) for key, label in LABELS.items() if facts.get(key)]


def fan(label: str, bands: Mapping[str, Any]) -> Fields:
    """Return one picture."""
    at, path, own = bands["at"], bands["path"], bands["own"]
    values = [max(value, LEAST) for line in (*path, own) for value in line]
    low, high = log(min(values)), log(max(values))

    def points(line: Sequence[float]) -> list[str]:
        scale = (HEIGHT / (high - low)) if high > low else 0.0
        return [
            f"{i / at[-1] * WIDTH:.1f},{(high - log(max(value, LEAST))) * scale:.1f}"
            for i, value in zip(at, line, strict=True)
        ]

    def band(lower: Sequence[float], upper: Sequence[float]) -> str:
        return " ".join([*points(upper), *reversed(points(lower))])

    ends = f"{percent(path[0][-1] - 1.0, plus=True)} to {percent(path[-1][-1] - 1.0, plus=True)}"
    return {
        "label": label,
        "outer": band(path[0], path[-1]),
        "inner": band(path[1], path[-2]),
        "middle": " ".join(points(path[len(path) // 2])),
        "own": " ".join(points(own)),
        "ends": ends,
        "start": f"{(high * HEIGHT / (high - low)) if high > low else 0.0:.1f}",
    }
