"""The bands around the equity: in their box, in order, and with the draws that there are."""

from dataclasses import asdict

import numpy as np
import pytest

from services.backtest.domain.resampling import bootstrapped, shuffled
from services.viz.domain.fans import HEIGHT, WIDTH, fan, fans

RETURNS = np.random.default_rng(1).normal(0.001, 0.02, 300)


def points(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]


def drawn(returns: np.ndarray) -> dict:
    bands = bootstrapped(returns, 1)
    assert bands is not None
    return asdict(bands)


@pytest.mark.parametrize("ruin", [False, True])
def test_bands_and_curve_stay_in_their_box_also_after_ruin(ruin: bool) -> None:
    returns = RETURNS.copy()
    if ruin:
        returns[200] = -1.0
    picture = fan("x", drawn(returns))
    for name in ("outer", "inner", "middle", "own"):
        for x, y in points(picture[name]):
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_the_inner_band_lies_in_the_outer_one_and_the_middle_in_both() -> None:
    picture = fan("x", drawn(RETURNS))
    outer, inner, middle = (points(picture[name]) for name in ("outer", "inner", "middle"))
    n = len(middle)
    for k in range(n):
        tops, bottoms = (outer[k][1], inner[k][1]), (inner[2 * n - 1 - k][1], outer[2 * n - 1 - k][1])
        assert tops[0] <= tops[1] <= middle[k][1] <= bottoms[0] <= bottoms[1]
        assert outer[k][0] == outer[2 * n - 1 - k][0] == middle[k][0]


def test_only_what_was_drawn_has_a_picture() -> None:
    bands = shuffled(RETURNS, 1)
    assert bands is not None
    facts = {"bootstrap_of_days": drawn(RETURNS), "bootstrap_of_trades": None, "shuffled_trades": asdict(bands)}
    assert [one["label"] for one in fans(facts)] == ["days drawn anew", "trades in another order"]
    assert fans({}) == []


def test_returns_that_never_vary_are_a_line() -> None:
    picture = fan("x", drawn(np.zeros(5)))
    assert {y for _, y in points(picture["outer"])} == {0.0}
