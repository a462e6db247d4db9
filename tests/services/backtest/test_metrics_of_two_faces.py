"""A run of the event-driven engine is measured as the same run of the engine of grids is."""

import numpy as np
import pytest

from services.backtest.domain.metrics import buy_and_hold_return, metrics
from tests.services.backtest.markets import run
from tests.services.backtest.test_two_faces import followed, random_market, random_rules


def test_c6_every_figure_of_three_hundred_runs_is_that_of_the_grid() -> None:
    seen: dict[str, int] = {}
    for seed in range(300):
        rng = np.random.default_rng(seed)
        market, rules = random_market(rng), random_rules(rng)
        outcome, daily, _, _ = run(market, rules)
        prices = market.prices()
        expected = metrics(prices, rules, outcome, daily, buy_and_hold_return(prices, rules))
        found = followed(market, rules).metrics()
        assert list(found) == list(expected)
        for name, value in expected.items():
            got, what = found[name], f"seed {seed}: {name}"  # type: ignore[literal-required]
            assert (got is None) == (value is None), what
            assert value is None or got == pytest.approx(value, rel=1e-9, abs=1e-9), what
            seen[name] = seen.get(name, 0) + (value is not None and value != 0)
    assert seen.pop("is_open") > 3
    assert min(seen.values()) > 100, seen
