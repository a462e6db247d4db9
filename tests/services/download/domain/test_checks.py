"""Every check of a certificate, and every boundary of a grade."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from services.download.domain import checks, grades
from services.download.domain.checks import FAULT, NOT_CHECKED, PASSED, REMARK, Period
from services.download.domain.findings import Day, Source

FIRST = date(2024, 1, 1)
SOURCE = Source("A.zip", True, 1_000_000, 0, 0, 0, 0)
DAY = Day(FIRST, rows=1_000_000, first_id=1, last_id=1_000_000, start_known=True, end_known=True, source=SOURCE)


def one(**changes):
    return Period([replace(DAY, **changes)], [SOURCE])


def source(**changes):
    return Period([DAY], [replace(SOURCE, **changes)])


def month(*absent, n=31, idle=False):
    days = [replace(DAY, day=FIRST + timedelta(days=i)) for i in range(n)]
    for i in absent:
        days[i] = Day(days[i].day, start_known=idle, end_known=idle)
    return Period(days, [SOURCE])


def test_a_clean_month_has_an_a_in_every_check():
    assert {check.grade for check in checks.run_checks(month())} == {"A"}


def test_every_limit_grows_from_a_to_e():
    for limits in grades.LIMITS.values():
        assert list(limits) == sorted(limits)


@pytest.mark.parametrize("name", grades.LIMITS)
def test_a_share_at_a_limit_has_its_letter_and_one_above_it_a_worse_one(name):
    for letter, limit in zip("ABCDE", grades.LIMITS[name], strict=True):
        assert grades.grade_of(name, limit) <= letter
        if limit < 1:
            assert grades.grade_of(name, limit + 1e-9) > letter


@pytest.mark.parametrize(
    ("missing", "grade"),
    [(0, "A"), (1, "B"), (10, "B"), (11, "C"), (1_001, "C"), (1_002, "D"), (10_101, "D"), (10_102, "E"),
     (52_631, "E"), (52_632, "F")],
)  # fmt: skip
def test_ids_are_graded_by_their_share_of_all_ids(missing, grade):
    check = checks.ids(one(ids_missing=missing))
    assert (check.grade, check.numbers["missing"]) == (grade, missing)
    assert check.verdict == {"A": PASSED, "B": REMARK}.get(grade, FAULT)


@pytest.mark.parametrize(("count", "grade"), [(0, "A"), (1, "B"), (10, "C"), (50, "D"), (200, "E"), (201, "F")])
def test_klines_off_their_interval_are_graded_by_their_share(count, grade):
    check = checks.alignment(Period([replace(DAY, rows=1000, misaligned=count)], [SOURCE], is_klines=True))
    assert (check.grade, check.numbers["misaligned"]) == (grade, count)


@pytest.mark.parametrize(
    ("absent", "grade"), [((), "A"), ((3,), "D"), ((3, 4), "E"), ((3, 4, 9), "E"), ((1, 2, 3, 4), "F")]
)
def test_missing_days_are_graded_by_their_share_of_the_days(absent, grade):
    assert checks.days(month(*absent)).grade == grade


def test_a_missing_day_is_an_f_of_its_own():
    assert checks.days(month(3).of_day(month(3).days[3])).grade == "F"


def test_a_day_on_which_nobody_traded_is_a_remark():
    check = checks.days(month(3, 4, idle=True))
    assert (check.grade, check.verdict, check.numbers["without_trades"]) == ("B", REMARK, 2)


def test_no_day_at_all_is_an_f():
    assert checks.days(Period([], [])).grade == "F"


def test_archives_are_verified_or_not_and_nothing_else_is_said_of_them():
    check = checks.checksums(one())
    assert (check.grade, check.verdict, check.numbers["verified"]) == ("A", PASSED, 1)
    check = checks.checksums(source(is_verified=False))
    assert (check.grade, check.verdict, check.numbers["without"]) == ("B", REMARK, 1)
    assert "1 source of 1 without a SHA-256 of the exchange" in check.text


def test_a_file_of_ones_own_is_not_called_verified():
    check = checks.checksums(replace(one(), is_import=True))
    assert (check.grade, check.verdict, check.numbers["verified"]) == ("A", NOT_CHECKED, 0)
    assert "no SHA-256 was published" in check.text


@pytest.mark.parametrize(
    ("silent", "grade"), [(0, "A"), (1, "B"), (14, "C"), (15, "D"), (72, "D"), (73, "E"), (288, "E"), (289, "F")]
)
def test_silences_are_graded_by_their_share_of_the_minutes(silent, grade):
    assert checks.silences(one(silent=silent, longest=silent)).grade == grade


def test_a_halt_is_a_remark_however_long():
    check = checks.silences(one(halted=1400, longest=1400))
    assert (check.grade, check.verdict) == ("B", REMARK)
    assert "halt" in check.text


@pytest.mark.parametrize(
    ("ratio", "grade"), [(1.0, "A"), (0.1, "A"), (0.0999, "C"), (0.02, "C"), (0.0199, "E"), (None, "A")]
)
def test_a_short_file_with_a_right_checksum_is_graded_by_its_neighbours(ratio, grade):
    check = checks.row_counts(one(ratio=ratio, end_known=False))
    assert check.grade == grade
    assert check.verdict == (NOT_CHECKED if ratio is None else PASSED if grade == "A" else FAULT)


def test_a_quiet_day_that_its_ids_prove_whole_is_not_short():
    assert checks.row_counts(one(ratio=0.001)).grade == "A"
    assert checks.row_counts(one(ratio=0.001, ids_missing=1)).grade == "E"


@pytest.mark.parametrize(("count", "grade"), [(0, "A"), (1, "B"), (52_631, "B"), (52_632, "C"), (10**9, "C")])
def test_duplicates_are_graded_by_their_share_of_what_was_read(count, grade):
    assert checks.duplicates(one(duplicates=count)).grade == grade


@pytest.mark.parametrize(("count", "grade"), [(0, "A"), (1, "B"), (999_999, "B")])
def test_rows_out_of_order_are_a_remark_since_they_were_sorted(count, grade):
    assert checks.order(one(out_of_order=count)).grade == grade


@pytest.mark.parametrize(("count", "grade"), [(0, "A"), (1_000, "A"), (1_001, "B"), (100_000, "B"), (100_001, "C")])
def test_times_that_run_back_are_graded_by_their_share(count, grade):
    assert checks.times(one(time_reversals=count)).grade == grade


@pytest.mark.parametrize(("count", "grade"), [(0, "A"), (10_000, "A"), (10_001, "B")])
def test_void_rows_of_the_exchange_are_a_remark(count, grade):
    check = checks.sentinels(source(sentinels=count))
    assert (check.grade, check.verdict) == (grade, REMARK if count else PASSED)


@pytest.mark.parametrize(("count", "grade"), [(0, "A"), (1, "B"), (10_000, "B"), (10_001, "C")])
def test_rows_of_other_days_are_graded_by_their_share(count, grade):
    assert checks.foreign_rows(source(foreign_rows=count)).grade == grade


def test_rows_of_other_days_in_a_file_of_ones_own_are_what_was_not_asked_for():
    assert checks.foreign_rows(replace(source(foreign_rows=10**6), is_import=True)).grade == "A"


@pytest.mark.parametrize(
    ("missing", "grade"),
    [(0, "A"), (1, "B"), (2, "C"), (14, "C"), (15, "D"), (72, "D"), (73, "E"), (288, "E"), (289, "F")],
)
def test_missing_klines_are_graded_by_their_share(missing, grade):
    period = Period([Day(FIRST, rows=1440 - missing, bars_expected=1440, source=SOURCE)], [SOURCE], is_klines=True)
    assert checks.bars(period).grade == grade
    assert [check.name for check in checks.run_checks(period)] == [
        *("checksums", "days", "bars", "alignment", "order", "duplicates", "foreign_rows"),
        "corrections",
    ]


def test_ids_that_the_exchange_never_gave_are_a_remark():
    check = checks.ids(one(ids_unknown=500_000))
    assert (check.grade, check.verdict, check.numbers["missing"]) == ("B", REMARK, 0)
    assert "the exchange itself does not know" in check.text


def test_corrections_are_stated_and_what_remains_is_graded():
    filled = {"day": "2024-01-01", "by": "daily", "ids_filled": 7, "ids_missing": 0, "differs": 0}
    check = checks.corrections(one(corrections=(filled,)))
    assert (check.grade, check.verdict) == ("A", REMARK)
    assert check.text == "1 day corrected from daily archives: 7 ids filled in."


def test_a_source_that_had_nothing_to_give_corrected_nothing():
    found = {"day": "2024-01-01", "by": "rest", "ids_filled": 0, "ids_missing": 7, "ids_unknown": 7}
    check = checks.corrections(one(corrections=(found,)))
    assert (check.verdict, check.numbers["days"]) == (PASSED, 0)


def test_sources_that_contradict_each_other_are_a_b():
    found = {"day": "2024-01-01", "by": "rest", "ids_filled": 7, "ids_missing": 2, "differs": 3}
    check = checks.corrections(one(corrections=(found,), ids_missing=2))
    assert (check.grade, check.numbers["ids_left"], check.numbers["differ"]) == ("B", 2, 1)


@pytest.mark.parametrize(
    ("wrong", "grade"),
    [(0, "A"), (1, "B"), (2, "C"), (14, "C"), (15, "D"), (72, "D"), (73, "E"), (288, "E"), (289, "F")],
)
@pytest.mark.parametrize("kind", [1, 2, 3])
def test_minutes_unlike_the_official_bars_are_graded_by_their_share(wrong, grade, kind):
    counts = [1440 - wrong, 0, 0, 0, 0]
    counts[kind] = wrong
    check = checks.klines(replace(one(klines=tuple(counts)), comparison={"days": {}}))
    assert check.grade == grade


@pytest.mark.parametrize(("left_out", "grade"), [(0, "A"), (72, "A"), (73, "B"), (1440, "B")])
def test_minutes_that_lack_what_aggregates_leave_out_are_a_remark(left_out, grade):
    check = checks.klines(replace(one(klines=(1440 - left_out, 0, 0, 0, left_out)), comparison={"days": {}}))
    assert (check.grade, check.verdict) == (grade, REMARK if left_out else PASSED)


@pytest.mark.parametrize("comparison", [None, {"not_compared": "the exchange has none"}, {"days": {}}])
def test_without_official_bars_nothing_is_held_against_the_data(comparison):
    check = checks.klines(replace(one(), comparison=comparison))
    assert (check.grade, check.verdict) == ("A", NOT_CHECKED)
