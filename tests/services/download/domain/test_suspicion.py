"""T08, T09: a day is in doubt for a reason, and one whose ids join its neighbours' is not."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.download.domain.suspicion import (
    DISORDER,
    DUPLICATE,
    EARLY,
    FEW,
    LATE,
    MISALIGNED,
    MISSING_AROUND,
    MISSING_BAR,
    MISSING_ID,
    OTHER_DAY,
    SHARED,
    DayFacts,
    doubtful_klines,
    notes_of,
    suspicions,
    unlike_days,
)
from services.download.domain.times import DAY_US, day_number
from tests.naive import download as naive

FIRST = date(2024, 1, 1)


def day(n, first_id, last_id, rows=None, begins=1_000_000, ends=DAY_US - 1_000_000, notes=()):
    midnight = day_number(FIRST + timedelta(days=n)) * DAY_US
    rows = last_id - first_id + 1 if rows is None else rows
    return DayFacts(FIRST + timedelta(days=n), rows, first_id, last_id, midnight + begins, midnight + ends, notes)


def week(n=7, rows=1000):
    return [day(i, i * rows, (i + 1) * rows - 1) for i in range(n)]


def doubts(days):
    return {(one - FIRST).days: why for one, why in suspicions(days).items()}


def test_days_whose_ids_run_on_are_beyond_doubt():
    assert doubts(week()) == {}
    assert doubts([]) == {}
    assert doubts(week(1)) == {}


def test_a_hole_is_in_doubt_on_its_day_alone():
    days = week()
    days[3] = replace(days[3], rows=990)
    assert doubts(days) == {3: [MISSING_ID]}


@pytest.mark.parametrize("cut", ["end", "begin"])
def test_a_day_that_was_cut_is_in_doubt_with_its_neighbour(cut):
    days = week()
    hour = DAY_US // 24
    if cut == "end":
        days[3] = day(3, 3000, 3799, ends=18 * hour)
        assert doubts(days) == {3: [MISSING_AROUND, EARLY], 4: [MISSING_AROUND]}
    else:
        days[3] = day(3, 3200, 3999, begins=5 * hour)
        assert doubts(days) == {2: [MISSING_AROUND], 3: [MISSING_AROUND, LATE]}


def test_a_missing_day_puts_its_neighbours_in_doubt():
    days = week()
    del days[3]
    assert doubts(days) == {2: [MISSING_AROUND], 4: [MISSING_AROUND]}


def test_a_quiet_day_whose_ids_run_on_is_whole():
    days = week(3)
    days[1] = day(1, 1000, 1009, begins=10**10, ends=2 * 10**10)
    days[2] = day(2, 1010, 2009)
    assert doubts(days) == {}


def test_at_the_end_of_the_range_time_and_size_speak():
    days = week(4)
    days.append(day(4, 4000, 4100, ends=3 * 10**9))
    assert doubts(days) == {4: [EARLY, FEW]}


def test_ids_of_the_day_before_are_a_reason():
    days = week(3)
    days[1] = day(1, 998, 1997, rows=1000)
    days[2] = day(2, 1998, 2997)
    assert doubts(days) == {1: [SHARED]}


def test_what_the_record_says_is_a_reason():
    of = {"out_of_order": 0, "duplicates": 0}
    record = {
        "days": {
            "2024-01-01": of,
            "2024-01-02": of | {"out_of_order": 3},
            "2024-01-03": of | {"duplicates": 2, "out_of_order": 1},
            "2024-01-04": of,
        },
        "dropped": {"other_day": 5},
    }
    assert notes_of(record) == {
        date(2024, 1, 1): (OTHER_DAY,),
        date(2024, 1, 2): (DISORDER,),
        date(2024, 1, 3): (DISORDER, DUPLICATE),
        date(2024, 1, 4): (OTHER_DAY,),
    }
    assert notes_of(record | {"dropped": {"other_day": 0}}).keys() == {date(2024, 1, 2), date(2024, 1, 3)}
    days = week(4)
    days[1] = replace(days[1], notes=notes_of(record)[date(2024, 1, 2)])
    assert doubts(days) == {1: [DISORDER]}


@given(missing=st.sets(st.integers(1, 58)), n_days=st.integers(1, 6))
def test_ids_put_exactly_those_days_in_doubt_that_hold_or_border_a_missing_one(missing, n_days):
    per_day = 60 // n_days
    ids = {n: set(range(n * per_day, (n + 1) * per_day)) - missing for n in range(n_days)}
    ids = {n: known for n, known in ids.items() if known}
    days = [day(n, min(known), max(known), len(known)) for n, known in ids.items()]
    by_ids = {n for n, why in doubts(days).items() if set(why) & {MISSING_ID, MISSING_AROUND}}
    assert by_ids == naive.doubtful_days(ids)


def test_a_day_is_unlike_the_klines_for_any_minute_but_those_that_aggregates_leave_out():
    january = {"days": {"2024-01-01": [9, 0, 0, 0, 3], "2024-01-02": [9, 1, 0, 0, 0], "2024-01-03": [9, 0, 1, 0, 0]}}
    february = {"days": {"2024-02-01": [9, 0, 0, 1, 0]}}
    found = unlike_days({"2024-02": february, "2024-01": january, "2024-03": {"not_compared": "there are none"}})
    assert found == [date(2024, 1, 2), date(2024, 1, 3), date(2024, 2, 1)]


def test_a_day_of_klines_is_in_doubt_for_missing_and_misaligned_bars_and_all_are_for_disorder():
    whole, short, off = ({"rows": rows, "misaligned": wrong} for rows, wrong in ((24, 0), (23, 0), (24, 2)))
    days = {"2024-01-01": whole, "2024-01-02": short, "2024-01-03": off}
    record = {"days": days, "counts": {"out_of_order": 0}, "dropped": {"duplicate": 0}}
    found = {date(2024, 1, 2): [MISSING_BAR], date(2024, 1, 3): [MISALIGNED]}
    assert doubtful_klines(record, DAY_US // 24, "suspicious") == found
    assert doubtful_klines(record, DAY_US // 24, "all") == {date(2024, 1, 1): [], **found}
    messy = record | {"counts": {"out_of_order": 1}, "dropped": {"duplicate": 2}}
    assert doubtful_klines(messy, DAY_US // 24, "suspicious")[date(2024, 1, 1)] == [DISORDER, DUPLICATE]
    assert doubtful_klines(messy, DAY_US // 24, "none") == {}
