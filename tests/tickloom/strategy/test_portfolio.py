"""The account's position: what is closed is closed, whatever its parts were."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tickloom.strategy.worlds import bars, play
from tickloom.strategy.orders import BUY, SELL, Bracket
from tickloom.strategy.portfolio import Portfolio


def test_a_position_bought_in_parts_and_sold_at_once_is_closed() -> None:
    acts = {0: lambda ctx: ctx.market(BUY, 0.1), 1: lambda ctx: ctx.market(BUY, 0.2)}
    acts |= {2: lambda ctx: ctx.market(SELL, 0.3), 3: lambda ctx: ctx.market(BUY)}
    result = play(bars(*[100] * 6), acts)
    assert [fill.position for fill in result.fills] == [0.1, 0.1 + 0.2, 0.0, 100.0]
    assert [(trip.entry_bar, trip.exit_bar) for trip in result.performance.trips] == [(1, 3), (4, -1)]


def test_stops_that_each_close_their_share_close_it_all() -> None:
    acts = {k: lambda ctx, k=k: ctx.market(BUY, (k + 1) / 10, Bracket(0.0625)) for k in range(3)}
    result = play(bars(100, 100, 100, 100, 90), acts)
    assert (len(result.fills), result.portfolio.position) == (6, 0.0)


@settings(max_examples=500, deadline=None)
@given(
    changes=st.lists(st.integers(-(10**6), 10**6).filter(bool), min_size=1, max_size=40),
    step=st.sampled_from([0.1, 0.001, 1e-8, 0.3]),
    closes=st.booleans(),
)
def test_the_position_is_flat_where_the_exact_sum_of_its_fills_is(
    changes: list[int], step: float, closes: bool
) -> None:
    portfolio, exact = Portfolio(1e9), 0
    for change in [*changes, -sum(changes)] if closes and sum(changes) else changes:
        portfolio.book(1 if change > 0 else -1, abs(change) * step, 100.0, 0.0)
        exact += change
        assert (portfolio.position == 0.0) == (exact == 0)
        assert portfolio.position == pytest.approx(float(exact * Fraction(step)), abs=1e-9 * step * 10**6)
