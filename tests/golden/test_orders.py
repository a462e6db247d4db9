"""Golden strategies of orders: the books balance at every fill (C3), and what comes later changes none (C1)."""

from pathlib import Path

import numpy as np
import pytest

from tests.golden.__main__ import kept
from tests.golden.orders import SENT, Sent
from tickloom.strategy.engine import Result

every_strategy = pytest.mark.parametrize("sent", SENT, ids=lambda sent: sent.name)


@pytest.fixture
def data(sent: Sent, request: pytest.FixtureRequest) -> Path | None:
    return None if sent.is_made else request.getfixturevalue("shared_data")


def rows(result: Result, until: int) -> list[tuple[float, ...]]:
    """The fills of the first bars."""
    return [(f.bar, f.side, f.quantity, f.price, f.fee, f.cash) for f in result.fills if f.bar < until]


@every_strategy
def test_c3_the_books_balance_at_every_fill(sent: Sent, data: Path | None) -> None:
    bars = sent.bars(data)
    result, _ = sent.play(bars)
    cash, position = result.performance.equity[0], 0.0
    assert cash == 10_000.0
    for fill in result.fills:
        cash, position = cash - fill.side * fill.quantity * fill.price - fill.fee, position + fill.side * fill.quantity
        assert fill.cash == pytest.approx(cash, rel=1e-9, abs=1e-6)
        assert fill.position == pytest.approx(position, abs=1e-9)
    assert result.performance.equity[-1] == pytest.approx(cash + position * bars.close[-1], rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("n_cuts", [3, pytest.param(50, marks=pytest.mark.chaos)])
@every_strategy
def test_c1_without_the_later_bars_the_earlier_fill_the_same(sent: Sent, data: Path | None, n_cuts: int) -> None:
    bars = sent.bars(data)
    whole, _ = sent.play(bars)
    rng = np.random.default_rng(len(sent.name))
    cuts = [*(fill.bar + 1 for fill in rng.choice(np.array(whole.fills, object), n_cuts)),
            *rng.integers(40, bars.n_bars, n_cuts)]  # fmt: skip
    for cut in map(int, cuts):
        found, _ = sent.play(bars.head(cut))
        assert rows(found, cut) == rows(whole, cut)
        np.testing.assert_array_equal(found.performance.equity, whole.performance.equity[:cut])


def test_c5_between_them_the_strategies_send_every_kind_of_order_and_see_each_end() -> None:
    became = {name for sent in SENT for name in kept()[sent.name]["counts"]}
    for name in (
        "gtc market filled", "gtd stop_limit expired", "gtd limit filled", "gtc stop cancelled", "gtc stop filled",
        "ioc limit filled", "ioc limit cancelled", "gtc limit filled", "gtc limit cancelled", "gtd limit expired",
        "gtc trailing_stop filled", "gtc trailing_stop cancelled", "filled as target",
    ):  # fmt: skip
        assert name in became
