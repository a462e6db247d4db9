"""What the report says of what happened inside bars: of trades that decided, and of guesses."""

from dataclasses import replace
from typing import Any

import pytest

from services.viz.adapters import inputs
from services.viz.domain.inside import inside_caveats
from services.viz.domain.sheet import assumptions, sheet

METRICS = {"total_return": 0.0427, "sharpe_ratio": 0.95, "max_drawdown": -0.1, "n_trades": 85}
THIN = "\N{THIN SPACE}"


def facts(mode: str = "order", **changes: Any) -> dict[str, Any]:
    told = {
        "has_trades": True, "n_by_trades": 12, "n_by_guess": 0,
        "guess": {**METRICS, "total_return": 0.031, "n_trades": 86},
        "n_trials": 64, "n_contested": 60, "n_moved": 40, "best_by_guess": 3, "chooses_another": True,
    }  # fmt: skip
    return {"mode": mode, "symbols": {"BTCUSDT": told | changes}}


def test_what_trades_decided_is_told_with_what_the_guess_would_show() -> None:
    (caveat,) = inside_caveats(facts(), "BTCUSDT", METRICS, 85)
    assert caveat.weight == "note"
    assert caveat.text == (
        "In 12 of 85 trades a bar reached several prices, and their order decided. Those bars were opened, and the "
        "market's own trades read. By the usual guess, the stop first, it would show: "
        f"Total return +3.10{THIN}% in place of +4.27{THIN}%; Trades 86 in place of 85. "
        "It would move 40 of 64 trials, and another one would look best."
    )


def test_a_guess_that_gives_the_same_figures_is_said_to() -> None:
    same = facts(guess=METRICS, n_moved=0, chooses_another=False, n_by_trades=1)
    (caveat,) = inside_caveats(same, "BTCUSDT", METRICS, 85)
    assert "That bar was opened" in caveat.text
    assert caveat.text.endswith("The usual guess, the stop first, happens to give the same figures here.")


@pytest.mark.parametrize(
    ("mode", "has_trades", "why"),
    [
        ("order", False, "these bars were not made of trades"),
        ("guess", False, "the request asked for a guess"),
        ("order", True, "more trades to read than one trial may"),
    ],
)
def test_a_guess_is_a_warning_and_says_why(mode: str, has_trades: bool, why: str) -> None:
    guessed = facts(mode, has_trades=has_trades, n_by_trades=0, n_by_guess=5, n_moved=0)
    (caveat,) = inside_caveats(guessed, "BTCUSDT", METRICS, 85)
    assert (caveat.weight, caveat.title) == ("warning", "Guessed inside a bar")
    assert caveat.text.startswith("In 5 of 85 trades a bar reached several prices")
    assert why in caveat.text


def test_where_nothing_hung_on_it_nothing_is_said() -> None:
    assert inside_caveats(facts(n_by_trades=0, n_moved=0), "BTCUSDT", METRICS, 85) == []
    assert inside_caveats({}, "BTCUSDT", METRICS, 85) == []


def test_the_best_trial_may_be_another_one_by_the_guess_though_nothing_hung_on_its_own_bars() -> None:
    (caveat,) = inside_caveats(facts(n_by_trades=0, guess=METRICS), "BTCUSDT", METRICS, 85)
    assert caveat.text.endswith("It would move 40 of 64 trials, and another one would look best.")


def test_the_sheet_takes_it_from_the_backtests_facts(builder: Any, backtest: Any) -> None:
    links = inputs.chain(builder.lake, backtest)
    run = inputs.read_run(builder.lake, links, list(inputs.read_symbols(builder.lake, links)), {})
    one = run.symbols[0]
    other = one.trials.combo[one.best] + 1
    told = facts(best_by_guess=other)["symbols"]["BTCUSDT"]
    asked = run.step("backtest")
    step = replace(asked, facts={**asked.facts, "inside_bar": {"mode": "order", "symbols": {one.symbol: told}}})
    said = sheet(replace(run, steps=[*run.steps[:-1], step]), "", "id")["symbols"][0]["caveats"]
    assert any("another one would look best" in caveat.text for caveat in said)


def test_the_assumptions_say_what_decides_where_it_can_matter(builder: Any, backtest: Any) -> None:
    request = dict(backtest.request)
    assert "Inside a bar" not in dict(assumptions(request | {"take_profit_rate": None, "trailing_stop_rate": None}))
    assert "trades say" in dict(assumptions(request | {"take_profit_rate": 0.1}))["Inside a bar"]
    assert "guess" in dict(assumptions(request | {"trailing_stop_rate": 0.1, "inside_bar": "guess"}))["Inside a bar"]
