"""How likely the best trial is to be luck, in one sentence, a table, a curve and a surface of costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from services.viz.domain.fans import fans
from services.viz.domain.words import NOT_AVAILABLE, percent, plural, signed, span
from tickloom.sharpe import Moments, luck_alone, probabilistic_sharpe_ratio
from tickloom.tries import Tries

Facts = Mapping[str, Any]
Fields = dict[str, Any]
SURE = 0.95
A_YEAR = 365**0.5
FULL_SHADE = 0.5
"""The total return that is coloured in full on the surface of costs."""


def luck(facts: Facts, earlier: Tries) -> Fields:
    """Return the section of one symbol.

    facts    what the backtest found, see luck/<symbol>.json in docs/backtest.md
    earlier  trials run on the same data before, by anybody, in other searches: they count as trials of this one
    """
    n_trials = int(facts["n_trials"]) + earlier.n
    by_luck = luck_alone(Tries(**facts["tries"]), earlier, int(facts["n_days"]))
    sample = Moments(**facts["sample"]) if facts["sample"] else None
    deflated = probabilistic_sharpe_ratio(sample, by_luck) if sample else None
    expected = by_luck * A_YEAR
    sharpe = sample.sharpe * A_YEAR if sample else None
    return {
        "verdict": _verdict(facts, n_trials, deflated, sharpe, expected),
        "tone": "" if deflated is None else "good" if deflated >= SURE else "bad",
        "rows": [
            *_search(facts, earlier.n, deflated, sharpe, expected),
            *_record(facts),
            *_overfitting(facts["overfitting"]),
            *_walks(facts["walk_forward"]),
            *_costs(facts["costs"]),
            *_chance(facts),
        ],
        "curves": curves(facts["curves"]),
        "fans": fans(facts),
        "surface": _surface(facts["costs"]),
    }


def _row(label: str, value: str, meaning: str) -> Fields:
    return {"label": label, "value": value, "meaning": meaning}


def _or_not(value: float | None, places: int = 2) -> str:
    return NOT_AVAILABLE if value is None else signed(value, places)


def _share(value: float | None) -> str:
    """Return a probability; what only seems certain is never shown as such."""
    if value is None:
        return NOT_AVAILABLE
    if value < 0.001:
        return "below 0.1\N{THIN SPACE}%"
    return "above 99.9\N{THIN SPACE}%" if value > 0.999 else f"{value * 100:.1f}\N{THIN SPACE}%"


def _verdict(facts: Facts, n_trials: int, deflated: float | None, sharpe: float | None, expected: float) -> str:
    if sharpe is None or deflated is None:
        return "There are too few days, or too little happened on them, to tell skill from luck: believe nothing yet."
    if sharpe <= 0.0:
        which = "The one trial" if n_trials == 1 else f"Even the best of {n_trials:,} trials"
        return f"{which} earned nothing: there is no result to explain by luck."
    if n_trials == 1:
        opening = f"With one trial there was nothing to choose from. Its Sharpe ratio is {signed(sharpe, 2)}"
        closing = (
            f"and is above zero with a probability of {_share(deflated)}, over these {facts['n_days']:,} days alone."
        )
        return f"{opening} {closing}"
    opening = (
        f"Of {n_trials:,} trials on these data the best shows a Sharpe ratio of {signed(sharpe, 2)}; "
        f"as many without any skill would be expected to show {signed(expected, 2)}."
    )
    if deflated >= SURE:
        return f"{opening} That it is more than luck has a probability of {_share(deflated)}."
    if deflated >= 0.5:
        return f"{opening} It may be luck: that it is more has a probability of {_share(deflated)}, and 95 % is usual."
    return f"{opening} It is most likely luck: that it is more has a probability of {_share(deflated)}."


def _search(facts: Facts, earlier: int, deflated: float | None, sharpe: float | None, expected: float) -> list[Fields]:
    counted = plural(int(facts["n_trials"]), "trial") + (f" + {earlier:,} in earlier searches" if earlier else "")
    alike = f"what those of this search amount to, by their mean correlation of {signed(facts['mean_correlation'], 2)}"
    return [
        _row("Trials on these data", counted, "every trial that was ever run on them, by anybody, is a try at luck"),
        _row("Independent trials", signed(facts["independent_trials"], 1), alike),
        _row("Best by luck alone", signed(expected, 2), "the Sharpe ratio to expect of the best of all, without skill"),
        _row("Sharpe ratio of the best", _or_not(sharpe), "a year, of daily returns"),
        _row("Deflated Sharpe ratio", _share(deflated), "probability that the best is better than luck"),
    ]


def _record(facts: Facts) -> list[Fields]:
    days = facts["minimum_track_record_days"]
    needed = "no length would do: it does not beat zero" if days is None else f"{days:,.0f} days"
    return [
        _row(
            "Probabilistic Sharpe ratio",
            _share(facts["probabilistic_sharpe_ratio"]),
            "probability that its Sharpe ratio is above zero, had nothing been chosen",
        ),
        _row(
            "Track record needed",
            needed,
            f"to be 95 % sure of a Sharpe ratio above zero; this one has {facts['n_days']:,} days",
        ),
    ]


def _overfitting(found: Facts | None) -> list[Fields]:
    if found is None:
        return [_row("Probability of overfitting", NOT_AVAILABLE, "it needs two trials that differ, and 16 days")]
    halvings = f"{found['n_halves']:,} halvings"
    return [
        _row(
            "Probability of overfitting",
            _share(found["probability"]),
            f"how often the best by Sharpe ratio on half of the days is below the middle on the others: {halvings}",
        ),
        _row("Loss out of sample", _share(found["loss"]), "how often it loses money on the other half"),
    ]


def _walks(walks: Facts | None) -> list[Fields]:
    if walks is None:
        return [_row("Walk-forward", NOT_AVAILABLE, "it needs 40 days")]
    rows = []
    for name, how in (("anchored", "best on all days before"), ("rolling", "best on the last two stretches")):
        walk = walks[name]
        sharpes = f"{_or_not(walk['out_of_sample_sharpe'])}, in sample {_or_not(walk['in_sample_sharpe'])}"
        value = f"{percent(walk['out_of_sample_return'], plus=True)}"
        rows.append(_row(f"Walk-forward, {name}", value, f"Sharpe ratio {how}, chosen anew in each stretch: {sharpes}"))
    return rows


def _costs(costs: Facts) -> list[Fields]:
    paid = costs["commission_rate"] + costs["slippage_rate"]
    even = costs["break_even"]
    value = NOT_AVAILABLE if even is None else percent(even, places=3)
    meaning = f"of each fill at which nothing is left; {percent(paid, places=3)} was paid"
    if even is None:
        meaning = "it loses even for nothing, or no cost takes the gain away"
    return [_row("Break-even cost", value, meaning)]


def _chance(facts: Facts) -> list[Fields]:
    random = facts["random_entries"]
    meaning = f"of {random['n_runs']:,} runs with its trades at random times, as long, as large and on the same side"
    rows = [_row("Random entries as good", _share(random["p_value"]), random["reason"] or meaning)]
    for key, label, what in (
        ("bootstrap_of_days", "Return, days drawn anew", "total_return"),
        ("bootstrap_of_trades", "Return, trades drawn anew", "total_return"),
        ("shuffled_trades", "Drawdown, trades shuffled", "max_drawdown"),
    ):
        bands = facts[key]
        if bands is not None:
            low, high = bands[what][0], bands[what][-1]
            value = f"{percent(low, plus=True)} to {percent(high, plus=True)}"
            rows.append(_row(label, value, f"nine of ten of {bands['n_draws']:,} draws lie between"))
    return rows


def curves(lines: Mapping[str, Sequence[float | None]]) -> Fields | None:
    """Return the walk-forward picture: a polyline for each curve in a box of 1000 x 240, y downwards, log scale."""
    known = {name: [(i, v) for i, v in enumerate(values) if v is not None and v > 0] for name, values in lines.items()}
    points = [value for values in known.values() for _, value in values]
    if not known.get("anchored") or len(lines["best"]) < 2:
        return None
    low, high = float(np.log(min(points))), float(np.log(max(points)))
    height = high - low or 1.0
    width = len(lines["best"]) - 1

    def place(i: int, value: float) -> str:
        return f"{i / width * 1000:.1f},{(high - float(np.log(value))) / height * 240:.1f}"

    names = {
        "best": "the best trial, in sample",
        "anchored": "walk-forward, anchored",
        "rolling": "walk-forward, rolling",
    }
    first = known["anchored"][0][0]
    return {
        "lines": [
            {"name": name, "label": label, "points": " ".join(place(i, v) for i, v in known[name])}
            for name, label in names.items()
        ],
        "first": f"{first / width * 1000:.1f}",
        "days": span(float(width - first)),
    }


def _surface(costs: Facts) -> Fields:
    own = (costs["commission_rate"], costs["slippage_rate"])
    rows = []
    for commission, values in zip(costs["commission_rates"], costs["total_return"], strict=True):
        cells = [
            {
                "text": signed(value * 100, 1),
                "tone": "up" if value > 0 else "down" if value < 0 else "",
                "shade": round(min(abs(value) / FULL_SHADE, 1.0) * 100),
                "own": (commission, slippage) == own,
            }
            for slippage, value in zip(costs["slippage_rates"], values, strict=True)
        ]
        rows.append({"label": percent(commission, places=3), "cells": cells})
    return {"slippages": [percent(rate, places=3) for rate in costs["slippage_rates"]], "rows": rows}
