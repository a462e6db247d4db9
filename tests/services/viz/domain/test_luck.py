"""The section on luck: what it says of a search of known worth, and that it says something of every record."""

import json

import numpy as np
import pytest

from services.backtest.domain.judgement import curves as lines_of
from services.backtest.domain.luck import luck as judged
from services.viz.domain.luck import luck as section_of
from tickloom.sharpe import sharpe_ratios
from tickloom.tries import Tries

COSTS = {
    "commission_rate": 0.001,
    "slippage_rate": 0.0005,
    "break_even": 0.004,
    "commission_rates": [0.0, 0.001],
    "slippage_rates": [0.0, 0.0005, 0.001],
    "total_return": [[0.5, 0.4, 0.3], [0.2, 0.0, -0.7]],
}


def luck(facts: dict, earlier: int | Tries) -> dict:
    """Return the section; `earlier` trials without skill if they are but a number."""
    return section_of(facts, Tries.unknown(earlier) if isinstance(earlier, int) else earlier)


def record(returns: np.ndarray, best: int = 0, **changes: object) -> dict[str, object]:
    found = judged(returns, best, returns[:, best], 1)
    whole = found.facts | {
        "costs": COSTS,
        "random_entries": {"p_value": 0.03, "reason": "", "n_runs": 200, "total_return": [0.0] * 5},
        "curves": lines_of(returns[:, best], found.anchored, found.rolling),
    }
    return json.loads(json.dumps(whole | changes))


def noise(n_trials: int, skill: float = 0.0, n_days: int = 400) -> np.ndarray:
    returns = np.random.default_rng(1).normal(0, 0.01, (n_days, n_trials))
    returns[:, 0] += skill
    return returns


def values(section: dict) -> dict[str, str]:
    return {row["label"]: row["value"] for row in section["rows"]}


def test_skill_that_is_plain_is_called_more_than_luck() -> None:
    section = luck(record(noise(50, skill=0.004)), 0)
    assert section["tone"] == "good"
    assert "That it is more than luck has a probability of" in section["verdict"]


def test_the_best_of_noise_is_called_luck() -> None:
    returns = noise(50)
    best = int((returns.mean(axis=0) / returns.std(axis=0)).argmax())
    section = luck(record(returns, best), 0)
    assert section["tone"] == "bad"
    assert "luck" in section["verdict"]
    assert "That it is more than luck" not in section["verdict"]


def test_earlier_searches_on_the_same_data_make_the_same_result_less_likely_to_be_skill() -> None:
    facts = record(noise(20, skill=0.0022))
    alone, after = luck(facts, 0), luck(facts, 100_000)

    def deflated(section: dict) -> float:
        return float(values(section)["Deflated Sharpe ratio"].split("\N{THIN SPACE}")[0])

    assert deflated(alone) > deflated(after) + 5
    assert values(after)["Trials on these data"] == "20 trials + 100,000 in earlier searches"
    assert "Of 100,020 trials" in after["verdict"]


def test_the_best_of_noise_stays_luck_when_it_is_submitted_alone_or_with_near_copies() -> None:
    random = np.random.default_rng(0)
    returns = random.normal(0, 0.02, (365, 1000))
    ratios = sharpe_ratios(returns)
    tried, best = Tries.of(ratios.tolist(), 365), returns[:, [int(ratios.argmax())]]
    near = best + random.normal(0, 0.001, (365, 9))
    chosen = int(sharpe_ratios(near).argmax())
    for facts in (record(best), record(near, chosen)):
        for earlier in (tried, Tries.unknown(1000)):
            section = luck(facts, earlier)
            assert section["tone"] == "bad"
            assert float(values(section)["Best by luck alone"]) > 2.5
            assert float(values(section)["Deflated Sharpe ratio"].split("\N{THIN SPACE}")[0]) < 60


def test_a_single_trial_is_judged_without_a_search() -> None:
    section = luck(record(noise(1, skill=0.002)), 0)
    assert section["verdict"].startswith("With one trial there was nothing to choose from.")
    assert values(section)["Probability of overfitting"] == "n/a"


@pytest.mark.parametrize("n_days", [1, 2, 5, 20, 41])
def test_something_is_said_of_a_record_of_any_length(n_days: int) -> None:
    section = luck(record(noise(4, n_days=n_days)), 3)
    assert section["verdict"]
    assert all(row["value"] for row in section["rows"])
    assert (section["curves"] is None) == (n_days < 40)


def test_a_best_trial_that_loses_is_not_called_lucky() -> None:
    section = luck(record(noise(20, skill=-0.003)), 0)
    assert section["tone"] == "bad"
    assert section["verdict"].startswith("Even the best of 20 trials earned nothing")


def test_nothing_measured_is_nothing_believed() -> None:
    none = {"p_value": None, "reason": "there is no trade to move", "n_runs": 0, "total_return": None}
    section = luck(record(np.zeros((100, 4)), random_entries=none, costs=COSTS | {"break_even": None}), 0)
    assert section["verdict"].startswith("There are too few days")
    assert values(section)["Break-even cost"] == values(section)["Deflated Sharpe ratio"] == "n/a"
    assert values(section)["Random entries as good"] == "n/a"
    assert "there is no trade to move" in [row["meaning"] for row in section["rows"]]


def test_a_probability_is_never_shown_as_certain() -> None:
    facts = record(noise(3, skill=0.05))
    assert values(luck(facts, 0))["Probabilistic Sharpe ratio"] == "above 99.9\N{THIN SPACE}%"


def test_the_surface_marks_the_costs_that_were_paid_and_its_losses() -> None:
    surface = luck(record(noise(3)), 0)["surface"]
    cells = [cell for row in surface["rows"] for cell in row["cells"]]
    assert [cell["own"] for cell in cells] == [False, False, False, False, True, False]
    assert [cell["tone"] for cell in cells] == ["up", "up", "up", "up", "", "down"]
    assert cells[-1]["shade"] == 100


def test_the_curves_stay_in_their_box_also_after_ruin() -> None:
    returns = noise(3)
    returns[100, 0] = -1.0
    picture = luck(record(returns), 0)["curves"]
    for line in picture["lines"]:
        for point in line["points"].split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= 1000
            assert 0 <= y <= 240
