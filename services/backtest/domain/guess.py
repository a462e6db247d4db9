"""How far the usual guess inside a bar would have moved a result."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.backtest.domain.inside import Resolved
from services.backtest.domain.metrics import metrics
from services.backtest.domain.selection import best_trial
from services.backtest.kernels.types import Prices
from tickloom.strategy.rules import Rules

TOLD = ("total_return", "sharpe_ratio", "max_drawdown", "n_trades")


def against_guess(
    prices: Prices, rules: Rules, resolved: Resolved, benchmark: float, objective: str
) -> dict[str, Any] | None:
    """Return what to tell of one trial, None where nothing hung on what happened inside a bar.

    n_by_trades, n_by_guess  trades decided by the bars' own trades, and those that could only be guessed
    guess                    figures by the usual guess everywhere; None where they are the trial's own
    """
    outcome, guess = resolved.outcome, resolved.guess
    if not (guess.n_by_guess or outcome.n_by_guess or outcome.n_by_trades):
        return None
    found: dict[str, Any] = {"n_by_trades": int(outcome.n_by_trades), "n_by_guess": int(outcome.n_by_guess)}
    figures: Mapping[str, Any] = metrics(prices, rules, guess, resolved.guess_daily, benchmark)
    return found | {"guess": {name: figures[name] for name in (*TOLD, objective)} if resolved.is_moved else None}


def symbol_facts(rows: Sequence[Mapping[str, Any]], best: Mapping[str, Any], objective: str) -> dict[str, Any]:
    """Return what to tell of one symbol's search.

    rows  its trials: the metrics, and under `inside` what `against_guess` returns
    best  the one of them that was chosen

    n_by_trades, n_by_guess and guess are the best trial's, as above but `guess` is always told; n_contested counts the
    trials in which something hung on it, n_moved those that came out otherwise; best_by_guess is the trial that the
    guess would have chosen.
    """
    inside = [row["inside"] or {} for row in rows]
    moved = [found.get("guess") for found in inside]
    by_guess = [row[objective] if guess is None else guess[objective] for row, guess in zip(rows, moved, strict=True)]
    own = best["inside"] or {"n_by_trades": 0, "n_by_guess": 0, "guess": None}
    return {
        "n_by_trades": own["n_by_trades"],
        "n_by_guess": own["n_by_guess"],
        "guess": {name: (own["guess"] or best)[name] for name in TOLD},
        "n_trials": len(rows),
        "n_contested": sum(bool(found) for found in inside),
        "n_moved": sum(guess is not None for guess in moved),
        "best_by_guess": rows[best_trial(by_guess)]["combo"],
    }
