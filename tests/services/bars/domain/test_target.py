"""A threshold for each day from the days before it: its slow twin, C1, and what becomes of a bar over midnight."""

import json
from datetime import date
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bars.domain import build
from services.bars.domain.build import close_bars
from services.bars.domain.carry import composed, is_certain, tables_of
from services.bars.domain.rule import Rule, rule_of
from services.bars.domain.state import SUMS, State
from services.bars.domain.target import ONE_BAR, Day, Target, day_thresholds, thresholds_of
from tests.naive import target as naive
from tests.services.bars.made import arrays_of, trade_rows
from tickloom.contracts.artifact import FileEntry
from tickloom.contracts.bars import DollarBars, TickBars, VolumeBars
from tickloom.errors import ExactnessLost

LENGTH = 100
KINDS = st.sampled_from(["tick", "volume", "dollar"])
RULES = st.builds(
    lambda kind, excess, reset, **target: Rule(
        kind, ONE_BAR, "drop" if kind == "tick" else excess, reset, target=Target(**target)
    ),
    KINDS,
    st.sampled_from(["drop", "carry", "split"]),
    st.sampled_from(["never", "daily"]),
    bars_per_day=st.integers(1, 6),
    days=st.integers(1, 3),
)


@pytest.fixture(autouse=True, scope="module")
def _short_days():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(build, "DAY_US", LENGTH)
        yield


def by_day(rows):
    return [(number, list(day)) for number, day in groupby(rows, lambda row: row[1] // LENGTH)]


def fold(rows, rule):
    """Build day after day, each with the threshold of its own, as the job does."""
    days = by_day(rows)
    sums = [Day(sum(naive.amount(row, rule.kind) for row in of_day)) for _, of_day in days]
    thresholds = day_thresholds(rule.target, sums)
    state, columns = State().to_json(), {}
    for (number, of_day), size in zip(days, thresholds, strict=True):
        until = (number + 1) * LENGTH
        bars, left = close_bars(arrays_of(of_day), rule.of_day(size), State.from_json(state), until)
        state = json.loads(json.dumps(left.to_json()))
        for name, values in (bars.columns | bars.ratios).items():
            columns.setdefault(name, []).extend(None if value != value else value for value in values.tolist())
    return columns, State.from_json(state)


@given(trade_rows(max_size=80), KINDS, st.integers(1, 6), st.integers(1, 3))
def test_bars_and_their_thresholds_are_those_of_the_slow_twin(rows, kind, target, days):
    columns, left = fold(rows, Rule(kind, ONE_BAR, target=Target(target, days)))
    closed, opened = naive.bars(rows, kind, target, days, LENGTH)
    if opened.trades and len(by_day(rows)) == 1:
        closed, opened = [(opened, None)], naive.Bar()  # its midnight has come
    if rows:
        assert columns["last_trade_id"] == [bar.trades[-1][0] for bar, _ in closed]
        assert columns["volume"] == [sum(trade[3] for trade in bar.trades) for bar, _ in closed]
        in_force = [None if size is None else float(-(-size.numerator // size.denominator)) for _, size in closed]
        assert columns["threshold"] == in_force
    assert (left.open_bar() or {"n_trades": 0})["n_trades"] == len(opened.trades)


@given(trade_rows(max_size=80), RULES)
def test_c2_days_that_are_built_side_by_side_have_the_states_of_a_fold(rows, rule):
    days = by_day(rows)
    sums = [Day(sum(naive.amount(row, rule.kind) for row in of_day)) for _, of_day in days]
    rules = [rule.of_day(size) for size in day_thresholds(rule.target, sums)]
    partitions = [(arrays_of(of_day), (number + 1) * LENGTH) for number, of_day in days]
    state = State()
    for (trades, until), of_day in zip(partitions, rules, strict=True):
        assert not is_certain(of_day)
        tables = tables_of([(trades, until)], [of_day], None)
        told = composed(tables, state) if tables is not None else None
        _, state = close_bars(trades, of_day, state, until)
        assert told is None or told.to_json() == state.to_json()
        assert told is not None or (of_day.excess, of_day.kind) != ("drop", "volume")


@given(trade_rows(max_size=80), RULES, st.integers(0, 80))
def test_c1_no_bar_and_no_threshold_depends_on_what_follows(rows, rule, cut):
    whole, _ = fold(rows, rule)
    days = {row[1] // LENGTH for row in rows[:cut]}
    before, _ = fold(rows[:cut], rule)
    # The data end where they end: what the last day's midnight closes too early is no bar of the longer data.
    n_bars = len(before.get("ts_close", ()))
    while n_bars and before["ts_close"][n_bars - 1] == (max(days) + 1) * LENGTH:
        n_bars -= 1
    for name, values in before.items():
        assert whole[name][:n_bars] == values[:n_bars], name


@given(trade_rows(max_size=80), RULES)
def test_c4_bars_and_residual_add_up_to_the_trades_and_are_in_order(rows, rule):
    columns, left = fold(rows, rule)
    opened = left.open_bar() or dict.fromkeys(SUMS, 0)
    assert sum(columns.get("n_trades", ())) + opened["n_trades"] == len(rows)
    assert sum(columns.get("volume", ())) + opened["volume"] == sum(row[3] for row in rows)
    assert sum(columns.get("notional", ())) + opened["notional"] == sum(row[2] * row[3] for row in rows)
    assert columns.get("ts_close", []) == sorted(columns.get("ts_close", []))


@given(st.lists(st.integers(1, 10**20), min_size=1, max_size=12), st.integers(1, 50), st.integers(1, 5))
def test_a_threshold_is_the_mean_of_the_last_days_rounded_up(traded, bars, days):
    target = Target(10**3 * bars, days)
    got = day_thresholds(target, map(Day, traded))
    assert got[0] == ONE_BAR
    for k in range(1, len(traded)):
        past = traded[max(0, k - days) : k]
        assert (got[k] - 1) * len(past) * target.bars_per_day < sum(past) <= got[k] * len(past) * target.bars_per_day
    assert got[:-1] == day_thresholds(target, map(Day, traded[:-1]))


def test_half_a_day_says_nothing_of_a_whole_one():
    days = [Day(10, is_whole=False), Day(1000), Day(3000), Day(50)]
    assert day_thresholds(Target(10, 2), days) == [ONE_BAR, ONE_BAR, 100, 200]
    assert day_thresholds(Target(10, 2, first=7), days) == [7, 7, 100, 200]


HOUR = 3_600_000_000


def entry(day, first_id, last_id, rows=1000, hours=(0, 24)):
    """A day of January with trades in some of its hours, 100 lots each."""
    midnight = (date(2024, 1, day) - date(1970, 1, 1)).days * 24 * HOUR
    facts = {"day": f"2024-01-{day:02}", "first_id": first_id, "last_id": last_id, "quantity": str(100 * rows)}
    facts |= {"first_ts": midnight + hours[0] * HOUR, "last_ts": midnight + hours[1] * HOUR - 1, "quantity_scale": 0}
    return FileEntry(name=f"AAA/{facts['day']}.parquet", sha256="0" * 64, bytes=1, rows=rows, facts=facts)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (entry(6, 1000, 1999), 1000),  # whole
        (entry(6, 1000, 1999, 995), 995),  # five of a thousand are missing
        (entry(6, 1000, 1999, 500), 1000),  # half of them: the day before counts
        (entry(6, 1500, 1999, 500, (12, 24)), 1000),  # half of them, before noon
        (entry(6, 1000, 1499, 500, (0, 12)), 1000),  # half of them, after noon
    ],
)
def test_a_day_of_which_trades_are_missing_by_its_ids_lowers_no_threshold(second, expected):
    days = [entry(5, 0, 999), second, entry(7, 2000, 2999), entry(8, 3000, 3999)]
    target, scales = Target(100, 1), {"quantity_scale": 0, "price_scale": 0, "notional_scale": 0}
    got = [*thresholds_of(target, "volume", days, scales, ids_run_on=True).values()]
    assert got == [ONE_BAR, 1000, expected, 1000]
    for n in (1, 2, 3):  # C1
        assert [*thresholds_of(target, "volume", days[:n], scales, ids_run_on=True).values()] == got[:n]
    ids_of_no_order = [*thresholds_of(target, "volume", days, scales, ids_run_on=False).values()]
    assert ids_of_no_order == [ONE_BAR, 1000, second.rows, 1000]


def test_the_units_of_a_later_day_do_not_move_the_threshold_of_an_earlier_one():
    coarse = day_thresholds(Target(7, 3), [Day(100), Day(1), Day(1)])
    finer = day_thresholds(Target(7, 3), [Day(100_000, 1000), Day(1_000, 1000), Day(1_001, 1)])
    assert coarse[1:] == [15, 8]
    assert finer[1:] == [15_000, 8_000]


def test_a_threshold_that_does_not_fit_is_refused_by_name():
    with pytest.raises(ExactnessLost, match="a day's threshold"):
        day_thresholds(Target(1, 3), [Day(10**18), Day(1)])


@pytest.mark.parametrize(
    ("excess", "volume"), [("drop", [40, 5, 6]), ("carry", [40, 5, 1, 5]), ("split", [40, 5, 2, 2, 2])]
)
def test_a_bar_that_holds_the_new_days_threshold_closes_on_its_first_trade(excess, volume):
    # 40 in one day, then 4: the threshold falls from 20 to 2, when 4 are in the open bar.
    rule = Rule("volume", ONE_BAR, excess, target=Target(2, 1))
    rows = [(1, 0, 5, 40, 1), (2, 110, 5, 4, 1), (3, 210, 5, 1, 1), (4, 220, 5, 1, 1), (5, 230, 5, 5, 1)]
    columns, left = fold(rows, rule)
    assert columns["threshold"][:2] == [None, 2.0]
    assert columns["ts_close"][:2] == [100, 210]
    assert columns["volume"] == volume
    assert sum(volume) + (left.open_bar() or {"volume": 0})["volume"] == 51


def test_a_tick_bar_longer_than_the_new_days_threshold_closes_on_its_first_trade():
    days = [20, 4, 3]
    rows = [(100 * day + i, 100 * day + i, 5, 1, 1) for day, n in enumerate(days) for i in range(n)]
    columns, left = fold(rows, Rule("tick", ONE_BAR, target=Target(2, 1)))
    assert columns["n_trades"] == [20, 5, 2]
    assert columns["threshold"] == [None, 2.0, 2.0]
    assert not left.is_open


def test_with_a_daily_reset_every_day_begins_with_an_empty_bar():
    rule = Rule("volume", ONE_BAR, reset="daily", target=Target(2, 1))
    rows = [(1, 0, 5, 40, 1), (2, 110, 5, 19, 1), (3, 210, 5, 1, 1), (4, 220, 5, 9, 1)]
    columns, left = fold(rows, rule)
    assert columns["volume"] == [40, 19, 10]
    assert columns["ts_close"] == [100, 200, 220]
    assert not left.is_open


def test_a_first_threshold_holds_until_a_whole_day_is_known():
    rule = Rule("volume", 15, target=Target(2, 1, first=15))
    columns, _ = fold([(1, 0, 5, 10, 1), (2, 10, 5, 10, 1), (3, 110, 5, 10, 1)], rule)
    assert (columns["volume"], columns["threshold"]) == ([20, 10], [15.0, 10.0])


@pytest.mark.parametrize(
    ("spec", "target"),
    [
        (TickBars(kind="tick", target_bars_per_day=50), Target(50, 7, ONE_BAR, 1)),
        (VolumeBars(kind="volume", target_bars_per_day=50, target_days=3), Target(50, 3, ONE_BAR, 100)),
        (DollarBars(kind="dollar", target_bars_per_day=9, threshold=12), Target(9, 7, 12 * 10**5, 10**5)),
    ],
)
def test_a_request_is_counted_in_the_symbols_own_units(spec, target):
    rule = rule_of(spec, 3, 2)
    assert (rule.target, rule.size) == (target, target.first)


@pytest.mark.parametrize("fields", [{}, {"target_days": 3, "threshold": 5}, {"target_bars_per_day": 0}])
def test_bars_that_close_nowhere_are_refused(fields):
    with pytest.raises(ValueError, match="target_bars_per_day"):
        TickBars(kind="tick", **fields)
