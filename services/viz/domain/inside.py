"""What the report says of bars whose four prices do not tell what happened first."""

from collections.abc import Mapping
from typing import Any

from services.viz.domain.caveats import Caveat
from services.viz.domain.words import CATALOGUE, plural, show

MODES = {
    "order": "the bar's own trades say what came first",
    "fills": "the bar's own trades say what came first, and at what price a stop filled",
    "guess": "a stop comes first, by the usual guess",
}
COMPARED = ("total_return", "sharpe_ratio", "max_drawdown", "n_trades")


def inside_caveats(
    facts: Mapping[str, Any], symbol: str, metrics: Mapping[str, int | float | None], n_trades: int
) -> list[Caveat]:
    """Return what to know of what happened inside the bars of the best trial's trades.

    facts    `inside_bar` of the backtest's facts, see docs/backtest.md; without any, nothing is said
    metrics  the best trial's
    """
    told = facts.get("symbols", {}).get(symbol)
    if told is None:
        return []
    by_trades, by_guess = int(told["n_by_trades"]), int(told["n_by_guess"])
    found = []
    if by_guess:
        found.append(_guessed(facts["mode"], told, by_guess, n_trades))
    if by_trades:
        text = (
            f"In {by_trades:,} of {plural(n_trades, 'trade')} a bar reached several prices, and their order decided. "
            f"{'That bar was' if by_trades == 1 else 'Those bars were'} opened, and the market's own trades read."
        )
        found.append(Caveat("note", "Decided inside a bar, by its trades", f"{text} {_difference(told, metrics)}"))
    elif told["n_moved"]:
        found.append(Caveat("note", "Decided inside a bar, by its trades", _difference(told, metrics)))
    return found


def _guessed(mode: str, told: Mapping[str, Any], n_guessed: int, n_trades: int) -> Caveat:
    why = "these bars were not made of trades, which would tell"
    if mode == "guess":
        why = "the request asked for a guess (inside_bar)"
    elif told["has_trades"]:
        why = "there were more trades to read than one trial may"
    text = (
        f"In {n_guessed:,} of {plural(n_trades, 'trade')} a bar reached several prices, and their order decides the "
        f"result. It was guessed, the stop first, for {why}. The true result may be better or worse."
    )
    return Caveat("warning", "Guessed inside a bar", text)


def _difference(told: Mapping[str, Any], metrics: Mapping[str, int | float | None]) -> str:
    """Return how far the usual guess would have moved the best trial, and how many of all."""
    guess = told["guess"]
    pairs = [
        f"{CATALOGUE[name].label} {show(name, guess[name])} in place of {show(name, metrics[name])}"
        for name in COMPARED
        if guess[name] != metrics[name]
    ]
    own = "The usual guess, the stop first, happens to give the same figures here."
    if pairs:
        own = f"By the usual guess, the stop first, it would show: {'; '.join(pairs)}."
    if told["n_trials"] < 2 or not told["n_moved"]:
        return own
    chosen = ", and another one would look best" if told["chooses_another"] else ""
    return f"{own} It would move {told['n_moved']:,} of {told['n_trials']:,} trials{chosen}."
