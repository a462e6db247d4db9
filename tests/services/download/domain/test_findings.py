"""What neighbours tell of a day: ids that are missing between them, days without trades, files that are cut."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.download.domain.findings import Day, joined, minutes_of, minutes_text, with_silences
from services.download.domain.gaps import Gaps, step_gaps

FIRST = date(2024, 1, 1)


def days(*ranges, rows=None, **more):
    """Return days in order, of (first id, last id) each; None for a day without rows."""
    found = []
    for i, ends in enumerate(ranges):
        day = FIRST + timedelta(days=i)
        n = 0 if ends is None else (ends[1] - ends[0] + 1 if rows is None else rows[i])
        found.append(Day(day) if ends is None else Day(day, rows=n, first_id=ends[0], last_id=ends[1], **more))
    return found


def test_ids_that_run_on_over_midnight_make_a_day_whole():
    found = joined(days((10, 19), (20, 29), (30, 39)))
    assert [day.ids_missing for day in found] == [0, 0, 0]
    assert [day.is_whole for day in found] == [False, True, False]


def test_ids_missing_at_midnight_are_those_of_the_later_day():
    found = joined(days((10, 19), (23, 29), (30, 39)))
    assert [day.ids_missing for day in found] == [0, 3, 0]
    assert not any(day.is_whole for day in found)


def test_ids_missing_over_a_missing_day_are_its_own():
    found = joined(days((10, 19), None, None, (50, 59)))
    assert [day.ids_missing for day in found] == [0, 30, 0, 0]
    assert [day.is_idle for day in found] == [False, False, False, False]


def test_a_day_over_which_the_ids_run_on_had_no_trade():
    found = joined(days((10, 19), None, None, (20, 29)))
    assert [day.is_idle for day in found] == [False, True, True, False]


def test_a_missing_day_at_the_start_is_not_known_to_be_idle():
    assert [day.is_idle for day in joined(days(None, (10, 19)))] == [False, False]


@pytest.mark.parametrize(("first_id", "known"), [(0, True), (1, True), (2, False)])
def test_the_very_first_id_of_a_symbol_begins_its_history(first_id, known):
    assert joined(days((first_id, 19), (20, 29)))[0].start_known == known


@given(st.lists(st.booleans(), min_size=4, max_size=40), st.sets(st.integers(0, 39)), st.integers(1, 39))
def test_ids_and_times_that_disagree_around_midnight_miss_nothing_but_what_is_missing(late, lost, cut):
    """Each id goes to the day before or after; what the two days miss in all is what neither has."""
    ids = [i for i in range(len(late)) if i not in lost]
    sides = [[i for i in ids if (i >= cut) != late[i]], [i for i in ids if (i >= cut) == late[i]]]
    if not all(sides):
        return
    if sides[0][0] > sides[1][0]:
        sides.reverse()
    made = []
    for number, side in enumerate(sides):
        gaps = Gaps()
        step_gaps(np.array(side, np.int64), 1, gaps)
        day = FIRST + timedelta(days=number)
        made.append(Day(day, rows=len(side), first_id=side[0], last_id=side[-1], ids_missing=gaps.missing))
    if made[1].last_id < made[0].last_id:
        return  # not what two days look like
    span = sides[1][-1] - sides[0][0] + 1
    assert sum(day.ids_missing for day in joined(made)) == span - len(ids)


def test_rows_are_held_against_the_median_of_three_days_on_either_side():
    rows = [1000, 900, 1100, 50, 1000, 5000, 1000, 7]
    found = joined(days(*[(i, i) for i in range(8)], rows=rows))
    assert found[3].ratio == 50 / 1000
    assert found[7].ratio == 7 / 1000


def test_neighbours_with_few_rows_say_nothing():
    assert joined(days((0, 0), (1, 1), (2, 2), rows=[199, 1, 199]))[1].ratio is None
    assert joined(days((0, 0), (1, 1), (2, 2), rows=[200, 1, 200]))[1].ratio == 1 / 200
    assert joined(days((0, 9)))[0].ratio is None


@given(st.sets(st.integers(0, 1439)))
def test_marks_come_back_from_their_text(marked):
    marks = np.isin(np.arange(1440), list(marked))
    assert minutes_of(minutes_text(marks)).tolist() == marks.tolist()


def quiet(*ranges, hole):
    """Return three days of every minute, the second with a hole of minutes, with their ids."""
    marks = [np.ones(1440, np.bool_) for _ in ranges]
    begin, end = hole
    for i, mark in enumerate(marks):
        mark[max(0, begin - 1440 * i) : max(0, end - 1440 * i)] = False
    found = days(*ranges)
    made = [
        Day(day.day, rows=day.rows, first_id=day.first_id, last_id=day.last_id, marks=mark)
        for day, mark in zip(found, marks, strict=True)
    ]
    return [(day.silent, day.halted, day.longest) for day in with_silences(joined(made))]


WHOLE = ((1000, 2999), (3000, 4999), (5000, 6999))
LOST = ((1000, 2999), (3000, 4999), (5001, 6999))


def test_a_silence_over_which_the_ids_run_on_is_a_halt():
    assert quiet(*WHOLE, hole=(2000, 2100)) == [(0, 0, 0), (0, 100, 100), (0, 0, 0)]


def test_a_halt_over_midnight_counts_on_both_days():
    assert quiet(*WHOLE, hole=(2800, 3000)) == [(0, 0, 0), (0, 80, 200), (0, 120, 200)]


def test_a_silence_where_ids_are_missing_is_missing_data():
    assert quiet(*LOST, hole=(2800, 3000)) == [(0, 0, 0), (80, 0, 200), (120, 0, 200)]


def test_a_silence_at_the_end_of_all_that_is_known_is_missing_data():
    assert quiet(*WHOLE, hole=(4000, 4320))[2] == (320, 0, 320)


def test_a_silence_at_the_start_is_missing_data_unless_the_symbol_begins_there():
    assert quiet(*WHOLE, hole=(0, 60))[0] == (60, 0, 60)
    assert quiet((1, 2999), *WHOLE[1:], hole=(0, 60))[0] == (0, 60, 60)
