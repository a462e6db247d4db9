"""Signals that arrive late: against the slow twin, by hand, by law, and against orders that arrive late."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.backtest.domain.latency import acting_bars, late, masks_of
from services.backtest.kernels.types import Trades
from tests.naive.latency import heard
from tests.services.backtest.markets import Market, changes, run
from tests.services.backtest.test_two_faces import bars_of, fills_of, random_market, random_rules
from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT
from tickloom.kernel import I64
from tickloom.strategy.engine import Engine
from tickloom.strategy.rules import BY_FRACTION, BY_RISK
from tickloom.strategy.signals import FollowSignals

HOUR_US = 3_600_000_000

Times = tuple[list[int], list[int]]


@st.composite
def times(draw: st.DrawFn) -> Times:
    """Opens and closes of bars one after the other: some empty, some without a pause between them."""
    steps = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=40))
    opens, closes, now = [], [], 0
    for pause, length in steps:
        opens.append(now + pause)
        now += pause + length
        closes.append(now)
    return opens, closes


def delayed(masks: list[int], bars: Times, latency_us: int) -> list[int]:
    opens, closes = (np.array(column, np.int64) for column in bars)
    signal = changes(np.array(masks, np.int8))
    return masks_of(late(signal, acting_bars(opens, closes, latency_us)), len(masks)).tolist()


@given(bars=times(), latency_us=st.integers(0, 12), data=st.data())
def test_what_is_heard_equals_the_twin(bars: Times, latency_us: int, data: st.DataObject) -> None:
    n = len(bars[0])
    masks = data.draw(st.lists(st.sampled_from([0, 0, 0, *range(16)]), min_size=n, max_size=n))
    expected = heard(masks, *bars, latency_us)
    # What the last open says is acted on by nobody: there, either may say what it likes.
    assert delayed(masks, bars, latency_us) == expected


@given(bars=times(), data=st.data())
def test_without_latency_every_signal_is_acted_on_at_the_next_open(bars: Times, data: st.DataObject) -> None:
    n = len(bars[0])
    masks = data.draw(st.lists(st.integers(0, 15), min_size=n, max_size=n))
    assert delayed(masks, bars, 0)[:-1] == masks[:-1]


@given(bars=times(), shorter=st.integers(0, 10), more=st.integers(0, 10))
def test_m21_a_larger_latency_never_acts_at_an_earlier_bar(bars: Times, shorter: int, more: int) -> None:
    opens, closes = (np.array(column, np.int64) for column in bars)
    soon, later = (acting_bars(opens, closes, latency) for latency in (shorter, shorter + more))
    assert (later >= soon).all()
    assert (soon > np.arange(soon.size)).all()


@given(bars=times(), latency_us=st.integers(0, 12), data=st.data())
def test_c1_bars_that_come_later_change_nothing_heard_before(bars: Times, latency_us: int, data: st.DataObject) -> None:
    n = len(bars[0])
    masks = data.draw(st.lists(st.integers(0, 15), min_size=n, max_size=n))
    kept = data.draw(st.integers(1, n))
    shorter = delayed(masks[:kept], (bars[0][:kept], bars[1][:kept]), latency_us)
    assert shorter[: kept - 1] == delayed(masks, bars, latency_us)[: kept - 1]


def test_by_hand_what_arrives_between_two_opens_is_acted_on_together() -> None:
    # Bars of 10 us, a pause of 1 between them, and 15 us to arrive: what bar 0 says at 10 arrives at 25, after bar 2
    # has opened at 22; bar 3 opens at 33. Bar 1 says something at 21, which arrives at 36: bar 4, at 44.
    bars = ([0, 11, 22, 33, 44, 200], [10, 21, 32, 43, 54, 210])
    assert delayed([LONG_ENTRY, LONG_EXIT, 0, 0, 0, 0], bars, 15) == [0, 0, LONG_ENTRY, LONG_EXIT, 0, 0]
    # Bars 3 and 4 speak at 43 and 54, and are heard at 58 and 69: the next open is at 200.
    assert delayed([0, 0, 0, SHORT_ENTRY, SHORT_EXIT, 0], bars, 15) == [0, 0, 0, 0, SHORT_ENTRY | SHORT_EXIT, 0]


def sparse(market: Market, rng: np.random.Generator) -> Market:
    """The market with a signal every dozen bars, so that no two are on their way at once."""
    masks = np.zeros_like(market.signal)
    said = np.arange(int(rng.integers(12)), masks.size, 12)
    masks[said] = rng.choice([LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT, LONG_ENTRY | SHORT_EXIT], said.size)
    return replace(market, signal=masks)


def opens_of(market: Market) -> I64:
    return bars_of(market).ts_open


@pytest.mark.parametrize("block", range(2))
def test_c6_one_signal_at_a_time_fills_as_an_order_that_arrives_late_does(block: int) -> None:
    """The event-driven engine sends orders at the close and lets them arrive; here it is the signal that does."""
    n_fills, n_moved = 0, 0
    for seed in range(100 * block, 100 * block + 100):
        rng = np.random.default_rng(seed)
        market = sparse(random_market(rng), rng)
        # Without stops and targets: where one ends a position while a signal is on its way, the account that hears the
        # signal is flat, and the strategy that gave an order was not.
        rules = random_rules(rng)._replace(
            limit_bars=0, limit_rate=0.0, stop_multiple=0.0, stop_loss_rate=0.0, take_profit_rate=0.0,
            trailing_rate=0.0, leverage=1.0, maintenance_rate=0.0,
        )  # fmt: skip
        rules = rules._replace(sizing=BY_FRACTION, fraction=0.5) if rules.sizing == BY_RISK else rules
        latency_us = int(rng.integers(1, 6 * HOUR_US))
        acting = acting_bars(opens_of(market), market.ts_close, latency_us)
        heard_at = masks_of(late(changes(market.signal), acting), market.signal.size)
        trades: Trades = run(replace(market, signal=heard_at), rules)[3]
        follow = FollowSignals(market.signal, rules, market.unit)
        found = Engine(follow, bars_of(market), rules, latency_us=latency_us).run()
        fills = [(f.bar, f.side, f.quantity, f.price, f.is_maker) for f in found.fills]
        assert fills == fills_of(trades)[0], f"seed {seed}, latency {latency_us}: {rules}"
        n_fills += len(fills)
        n_moved += fills != fills_of(run(market, rules)[3])[0]
    assert n_fills > 200
    assert n_moved > 50
