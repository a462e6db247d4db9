"""Certificates of months, grades of days, and what a request's demand makes of them."""

import json
from datetime import date, timedelta

import numpy as np
import pytest

from services.download.domain.certificate import Evidence, certificates, summary
from services.download.domain.errors import QualityTooLow
from services.download.domain.findings import Day, Source
from services.download.domain.verdict import judge
from tickloom.contracts.download import QualityRule

FIRST = date(2024, 1, 30)
SOURCE = Source("A.zip", True, 8000, 0, 0, 0, 0)
BAD = date(2024, 2, 1)


def evidence(symbol="BTCUSDT", n=4, **of_bad):
    """Return four days over the end of a month, of 2,000 trades and every minute each; `of_bad` changes 1 February."""
    days = []
    for i in range(n):
        day = FIRST + timedelta(days=i)
        first = 1 + 2000 * i
        made = {"rows": 2000, "first_id": first, "last_id": first + 1999, "marks": np.ones(1440, np.bool_)}
        days.append(Day(day, source=SOURCE, **(made | (of_bad if day == BAD else {}))))
    return Evidence(symbol, days)


def grades(found):
    return {one.month: one.grade for one in found}


def test_each_month_has_a_certificate_of_its_own():
    found = certificates(evidence(ids_missing=1))
    assert grades(found) == {"2024-01": "A", "2024-02": "C"}
    assert (found[1].first, found[1].last, found[1].rows) == (date(2024, 2, 1), date(2024, 2, 2), 4000)


def test_a_grade_is_that_of_the_worst_check_and_says_why():
    (_, found) = certificates(evidence(ids_missing=100, duplicates=1))
    assert found.grade == "E"
    assert found.reasons == ["100 ids are missing, 2.4 % of all."]


def test_a_fault_weighs_more_on_its_day_than_on_its_month():
    (_, found) = certificates(evidence(ids_missing=30))
    assert (found.grade, found.day_grade(BAD), found.day_grade(BAD + timedelta(days=1))) == ("D", "E", "A")
    assert list(found.days) == [BAD]


def test_a_certificate_is_json_and_says_what_fixed_it():
    (_, found) = certificates(evidence(ids_missing=30))
    record = json.loads(json.dumps(found.record()))
    assert record["grade"] == "D"
    assert record["days"]["2024-02-01"]["grade"] == "E"
    assert {check["name"] for check in record["checks"]} >= {"ids", "silences", "klines", "corrections"}
    assert all(check["text"].endswith(".") for check in record["checks"])
    assert "left_out_days" not in record


def test_a_day_that_is_left_out_weighs_no_more_and_is_named():
    (_, found) = certificates(evidence(ids_missing=30), [BAD])
    assert (found.grade, found.found, found.left_out, found.rows) == ("A", "D", [BAD], 2000)
    assert found.record()["left_out_days"] == ["2024-02-01"]


def test_a_month_of_which_every_day_is_left_out_is_an_f():
    assert grades(certificates(evidence(n=3, ids_missing=300), [BAD])) == {"2024-01": "A", "2024-02": "F"}


def test_corrections_are_those_of_their_day():
    found = {"day": "2024-02-01", "by": "daily", "ids_filled": 5, "ids_missing": 0, "differs": 1}
    one = evidence()
    (january, february) = certificates(Evidence(one.symbol, one.days, corrections=[found]))
    assert [january.grade, february.grade] == ["A", "B"]


@pytest.mark.parametrize(("unknown", "missing", "grade"), [(0, 30, "D"), (29, 1, "C"), (30, 0, "B"), (99, 0, "B")])
def test_ids_that_the_exchange_does_not_know_are_not_missing(unknown, missing, grade):
    found = {"day": "2024-02-01", "by": "rest", "ids_filled": 0, "ids_missing": 30, "ids_unknown": unknown}
    known = evidence(ids_missing=30)
    (_, february) = certificates(Evidence(known.symbol, known.days, corrections=[found]))
    (check,) = (check for check in february.checks if check.name == "ids")
    assert (check.grade, check.numbers["missing"], check.numbers["unknown"]) == (grade, missing, min(unknown, 30))


def test_a_symbols_grade_is_that_of_its_worst_month():
    told = summary({"BTCUSDT": certificates(evidence(ids_missing=30))})["BTCUSDT"]
    assert (told["grade"], told["months"]["2024-01"]) == ("D", {"grade": "A", "reasons": []})
    assert told["months"]["2024-02"]["reasons"]


def test_without_a_minimum_all_goes_on_and_what_is_worse_than_c_is_told():
    assert judge(QualityRule(), [evidence(ids_missing=1)]).warnings == []
    verdict = judge(QualityRule(), [evidence(ids_missing=30)])
    assert ["BTCUSDT 2024-02" in text and "grade D" in text for text in verdict.warnings] == [True]
    assert verdict.left_out == {}


@pytest.mark.parametrize(("minimum", "n_warnings"), [("A", 1), ("C", 1), ("D", 0), ("F", 0)])
def test_warn_tells_of_every_month_below_the_minimum(minimum, n_warnings):
    rule = QualityRule(minimum=minimum)
    assert len(judge(rule, [evidence(ids_missing=30)]).warnings) == n_warnings


def test_stop_names_symbol_month_grade_reasons_and_what_to_do_next():
    rule = QualityRule(minimum="C", on_failure="stop")
    with pytest.raises(QualityTooLow, match=r"the minimum is C, but BTCUSDT 2024-02 has grade D: 30 ids are") as failed:
        judge(rule, [evidence("ETHUSDT"), evidence(ids_missing=30)])
    assert "drop_day" in failed.value.problem()["next"]
    assert failed.value.problem()["retryable"] is False


def test_stop_lets_pass_what_is_good_enough():
    assert judge(QualityRule(minimum="D", on_failure="stop"), [evidence(ids_missing=30)]).left_out == {}


def test_drop_day_leaves_out_the_days_below_the_minimum_alone():
    rule = QualityRule(minimum="D", on_failure="drop_day")
    verdict = judge(rule, [evidence("ETHUSDT"), evidence(ids_missing=30)])
    assert verdict.left_out == {"BTCUSDT": [BAD]}
    assert grades(verdict.certificates["BTCUSDT"]) == {"2024-01": "A", "2024-02": "A"}
    assert verdict.warnings == ["BTCUSDT: 1 day left out, graded below D: 2024-02-01"]


def test_drop_day_stops_when_no_day_is_good_enough():
    one = evidence(n=3, ids_missing=30)
    rule = QualityRule(minimum="D", on_failure="drop_day")
    with pytest.raises(QualityTooLow):
        judge(rule, [Evidence("BTCUSDT", one.days[2:])])


def test_drop_day_still_tells_of_a_month_that_is_too_bad_for_a_missing_day():
    one = evidence()
    gone = [*one.days[:3], Day(date(2024, 2, 2)), Day(date(2024, 2, 3))]
    rule = QualityRule(minimum="D", on_failure="drop_day")
    assert any("2024-02 have grade F" in text for text in judge(rule, [Evidence("BTCUSDT", gone)]).warnings)


def test_a_warning_is_not_told_a_hundred_times():
    many = [evidence(f"S{i}", ids_missing=30) for i in range(30)]
    warnings = judge(QualityRule(), many).warnings
    assert (len(warnings), warnings[-1]) == (11, "20 more months have a grade as low")
