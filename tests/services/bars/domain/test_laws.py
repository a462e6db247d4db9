"""Laws between bars of trades and bars of changed trades: RELIABILITY.md section 4, by their numbers."""

from decimal import Decimal
from itertools import groupby

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from services.bars.domain.build import close_bars
from services.bars.domain.rule import Rule, rule_of
from services.bars.domain.state import State
from tests.naive import bars as naive
from tests.services.bars.domain.test_build import PLAIN, RULES, fold
from tests.services.bars.made import Row, arrays_of, trade_rows
from tickloom.contracts.bars import TickBars

OHLC = ("ts_open", "ts_close", "open", "high", "low", "close")


def in_two(rows: list[Row], at: int, first: int) -> list[Row]:
    """Trade `at` in two of the same price, time and side; ids leave room for the second of them."""
    rows = [(2 * row[0], *row[1:]) for row in rows]
    i, ts, price, quantity, side = rows[at]
    halves = [(i, ts, price, first, side), (i + 1, ts, price, quantity - first, side)]
    return [*rows[:at], *halves, *rows[at + 1 :]]


@given(trade_rows(min_size=1), st.data(), st.integers(1, 3000))
def test_m8_a_trade_in_two_leaves_dollar_bars_alone_unless_it_crosses(
    rows: list[Row], data: st.DataObject, size: int
) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    assume(rows[at][3] > 1 and at not in naive.ends(rows, "dollar", size))
    whole, _ = fold([rows], Rule("dollar", size))
    other, _ = fold([in_two(rows, at, data.draw(st.integers(1, rows[at][3] - 1)))], Rule("dollar", size))
    for name in (*OHLC, "volume", "notional", "buy_volume", "buy_notional"):
        assert other[name] == whole[name], name


@given(trade_rows(min_size=1), st.data(), st.integers(1, 12))
def test_m8_a_trade_in_two_counts_twice_in_tick_bars_and_moves_each_later_end_by_one_trade(
    rows: list[Row], data: st.DataObject, size: int
) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    assume(rows[at][3] > 1)
    split = in_two(rows, at, 1)
    bars, _ = fold([split], Rule("tick", size))
    assert bars["n_trades"] == [size] * (len(split) // size)
    assert bars["last_trade_id"] == [row[0] for row in split[size - 1 :: size]]
    before, _ = fold([rows], Rule("tick", size))
    whole = at // size  # the bars that closed before the trade are what they were
    for name in OHLC:
        assert bars[name][:whole] == before[name][:whole], name


@given(trade_rows(min_size=1), st.data(), st.sampled_from(["time", "range"]), st.integers(1, 60))
def test_m8_a_trade_in_two_moves_no_bar_that_time_or_price_closes(
    rows: list[Row], data: st.DataObject, kind: str, size: int
) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    rule = Rule(kind, size)
    assume(rows[at][3] > 1 and at not in (naive.ends(rows, kind, size) if kind == "range" else ()))
    whole, _ = fold([rows], rule)
    other, _ = fold([in_two(rows, at, 1)], rule)
    for name in (*OHLC, "volume", "notional"):
        assert other[name] == whole[name], name


@given(trade_rows(min_size=10), st.randoms(), st.sampled_from(["time", "tick", "range"]), st.integers(1, 4))
def test_m9_trades_of_one_time_and_price_in_another_order_make_the_same_prices(
    rows: list[Row], order: object, kind: str, size: int
) -> None:
    # Few prices and few times, so that there is something to put in another order.
    rows = [(i, ts // 60, price // 25 + 1, quantity, side) for i, ts, price, quantity, side in rows]
    shuffled: list[Row] = []
    for _, group in groupby(rows, key=lambda row: row[1:3]):
        same = list(group)
        amounts = [row[3:] for row in same]
        order.shuffle(amounts)  # type: ignore[attr-defined]
        shuffled += [(*row[:3], *amount) for row, amount in zip(same, amounts, strict=True)]
    whole, _ = fold([rows], Rule(kind, size))
    other, _ = fold([shuffled], Rule(kind, size))
    sums = ("n_trades", "volume", "notional", "buy_volume", "buy_notional") if kind == "time" else ("n_trades",)
    for name in (*OHLC, *sums):
        assert other[name] == whole[name], name


@given(trade_rows(), RULES, st.data())
def test_m10_a_run_that_goes_on_from_its_state_at_any_trade_makes_what_one_run_makes(
    rows: list[Row], rule: Rule, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    pieces = [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    whole, left = fold([rows], rule)
    resumed, left_at_last = fold(pieces, rule)
    assert (resumed, left_at_last.to_json()) == (whole, left.to_json())


@given(trade_rows(min_size=1), PLAIN, st.integers(1, 50))
def test_m17_a_price_that_never_moves_makes_bars_of_that_price(rows: list[Row], rule: Rule, price: int) -> None:
    bars, _ = fold([[(i, ts, price, quantity, side) for i, ts, _, quantity, side in rows]], rule)
    for name in ("open", "high", "low", "close"):
        assert set(bars[name]) <= {price}
    assert bars["notional"] == [price * volume for volume in bars["volume"]]


@given(trade_rows(min_size=1), st.integers(1, 50))
def test_m17_the_microstructure_of_a_price_that_never_moves_is_zero_or_missing(rows: list[Row], price: int) -> None:
    spec = TickBars(kind="tick", threshold=5, microstructure=True, large_trade=Decimal(1))
    still = [(i, ts, price, quantity, side) for i, ts, _, quantity, side in rows]
    bars, _ = close_bars(arrays_of(still), rule_of(spec, 2, 3), State(), 0)
    for name, values in bars.ratios.items():
        assert not np.isinf(values).any(), name
        if name in ("kyle_lambda", "kyle_sxy", "amihud", "roll_covariance", "roll_spread", "realized_variance",
                    "bipower_variation", "jump_share"):  # fmt: skip
            assert set(values[~np.isnan(values)].tolist()) <= {0.0}, name
