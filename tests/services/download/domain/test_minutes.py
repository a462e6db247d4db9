"""Minutes made of trades against official ones, minute by minute and field by field."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.download.domain.minutes import FIELDS, KINDS, Pair, compare_minutes
from services.download.kernels.minutes import MINUTES
from tests.naive import quality as naive

FIRST = 19_727  # 2024-01-05
BAR = [100, 120, 90, 110, 50, 5_000, 7, 20, 2_000]
SCALES = {"price": 2, "quantity": 3, "notional": 5}


def pair_of(ours, official, **changes):
    """Return a pair of days from bars by minute."""
    sides = []
    n_days = 1 + max([0, *ours, *official]) // MINUTES
    for bars in (ours, official):
        side = np.zeros((9, n_days * MINUTES), np.int64)
        for minute, bar in bars.items():
            side[:, minute] = bar
        sides.append(side)
    return replace(Pair(FIRST, *sides, SCALES, exact=5), **changes)


def counts(found):
    return {kind: found[kind] for kind in KINDS if found[kind]}


def changed(**fields):
    return [fields.get(name, value) for name, value in zip(FIELDS, BAR, strict=True)]


def test_equal_minutes_are_equal():
    found = compare_minutes(pair_of({0: BAR, 9: BAR}, {0: BAR, 9: BAR}), [0], leaves_out=False)
    assert counts(found) == {"equal": 2}
    assert (found["largest"], found["first"], found["days"]) == ({}, [], {"2024-01-05": [2, 0, 0, 0, 0]})


def test_official_bars_without_trades_stand_for_nothing():
    empty = [110, 110, 110, 110, 0, 0, 0, 0, 0]
    assert counts(compare_minutes(pair_of({0: BAR}, {0: BAR, 1: empty}), [0], leaves_out=False)) == {"equal": 1}


@pytest.mark.parametrize("field", FIELDS)
def test_a_difference_in_any_field_is_told_with_its_size_and_minute(field):
    off = changed(**{field: BAR[FIELDS.index(field)] - 1})
    found = compare_minutes(pair_of({3: BAR}, {3: off}), [0], leaves_out=False)
    units = {"open": "0.01", "high": "0.01", "low": "0.01", "close": "0.01", "n_trades": "1"}
    units |= {"volume": "0.001", "buy_volume": "0.001", "notional": "0.00001", "buy_notional": "0.00001"}
    assert counts(found) == {"different": 1}
    assert found["largest"] == {field: {"difference": units[field], "minute": "2024-01-05T00:03:00Z"}}
    assert [(one["field"], one["minute"]) for one in found["first"]] == [(field, "2024-01-05T00:03:00Z")]


def test_a_minute_that_one_side_lacks_is_told_which():
    found = compare_minutes(pair_of({0: BAR}, {1: BAR}), [0], leaves_out=False)
    assert counts(found) == {"not_in_official": 1, "not_in_trades": 1}
    assert [one["ours"] for one in found["first"]] == ["1", "0"]


def test_days_that_one_side_lacks_are_not_compared():
    found = compare_minutes(pair_of({0: BAR, MINUTES: BAR}, {0: BAR, MINUTES + 5: BAR}), [0], leaves_out=False)
    assert (counts(found), list(found["days"])) == ({"equal": 1}, ["2024-01-05"])


MINUTE_US = 60_000_000
MIDNIGHT_US = FIRST * MINUTES * MINUTE_US


@pytest.mark.parametrize(
    ("ours", "official", "until"),
    [
        ({0: BAR, 9: BAR}, {0: BAR, 9: BAR}, None),
        ({0: BAR, 9: BAR}, {0: BAR, 5: BAR, 9: BAR}, None),
        ({0: BAR, 9: BAR}, {0: BAR, 9: changed(volume=60)}, None),
        ({0: BAR, 9: BAR}, {0: BAR, 9: BAR, 30: BAR}, 10),
        ({0: BAR, 9: BAR}, {0: BAR, 9: changed(volume=60), 30: BAR}, 9),
        ({0: BAR, 9: BAR}, {0: BAR, 9: BAR, MINUTES + 30: BAR}, None),
        ({0: BAR, MINUTES: BAR}, {0: BAR, 7: BAR, MINUTES: BAR}, None),
        ({0: BAR, MINUTES: BAR}, {0: BAR, 7: BAR, MINUTES: BAR, MINUTES + 1: BAR}, MINUTES + 1),
    ],
)
def test_official_bars_after_the_last_trade_say_up_to_when_the_day_is_known(ours, official, until):
    pair = pair_of(ours, official)
    found = compare_minutes(pair, range(pair.ours.shape[1] // MINUTES), leaves_out=False)
    assert found.get("known_until") == (None if until is None else MIDNIGHT_US + until * MINUTE_US)


def test_a_last_day_that_is_not_compared_is_believed_to_be_whole():
    pair = pair_of({0: BAR, MINUTES: BAR}, {0: BAR, 7: BAR, MINUTES + 1: BAR})
    assert "known_until" not in compare_minutes(pair, [0], leaves_out=False)


def test_what_aggregates_leave_out_at_the_end_of_a_day_says_nothing_of_its_trades():
    assert "known_until" not in compare_minutes(pair_of({0: BAR}, {0: BAR, 9: BAR}), [0], leaves_out=True)


def test_what_aggregates_of_usdm_leave_out_is_counted_apart():
    more = changed(volume=60, notional=6_000, n_trades=8, high=125)
    assert counts(compare_minutes(pair_of({0: BAR}, {0: more, 1: BAR}), [0], leaves_out=True)) == {"left_out": 2}
    assert counts(compare_minutes(pair_of({0: BAR}, {0: more}), [0], leaves_out=False)) == {"different": 1}


@pytest.mark.parametrize(
    "changes", [{"volume": 49}, {"high": 119}, {"low": 91}, {"buy_notional": 1_999}, {"n_trades": 7}]
)
def test_an_official_bar_that_holds_less_in_anything_is_a_difference(changes):
    other = changed(**({"volume": 60, "notional": 6_000, "n_trades": 8} | changes))
    assert counts(compare_minutes(pair_of({0: BAR}, {0: other}), [0], leaves_out=True)) == {"different": 1}


@pytest.mark.parametrize(("off", "kind"), [(700, "equal"), (701, "different")])
def test_a_notional_of_more_than_eight_places_may_lose_one_of_the_eighth_with_each_trade(off, kind):
    scales = {"price": 5, "quantity": 5, "notional": 10}
    pair = pair_of({0: BAR}, {0: changed(notional=5_000 - off)}, scales=scales, exact=10)
    assert counts(compare_minutes(pair, [0], leaves_out=False)) == {kind: 1}
    exact = replace(pair, exact=8)
    assert counts(compare_minutes(exact, [0], leaves_out=False)) == {"different": 1}


def test_ten_minutes_are_listed_and_all_are_counted():
    minutes = dict.fromkeys(range(30), BAR)
    found = compare_minutes(pair_of(minutes, {}), [0], leaves_out=False)
    assert (len(found["first"]), found["not_in_official"], found["compared"]) == (10, 30, 30)


SMALL_BAR = st.lists(st.integers(1, 3), min_size=9, max_size=9)
BARS = st.dictionaries(st.integers(0, 12), SMALL_BAR, max_size=8)


@given(BARS, BARS, st.booleans(), st.booleans())
def test_every_minute_is_what_the_slow_way_says(ours, official, leaves_out, fine):
    scales = {"price": 5, "quantity": 4, "notional": 9 if fine else 8}
    pair = pair_of(ours, official, scales=scales, exact=9 if fine else 8)
    kinds = naive.compare(pair.ours.T.tolist(), pair.official.T.tolist(), 10 if fine else 0, leaves_out)
    found = Counter(kinds)
    del found["silent"]
    assert counts(compare_minutes(pair, [0], leaves_out=leaves_out)) == dict(found)
