"""The grade of the data in the report: large, with reasons, by month, and among the things to know."""

import pytest

from services.viz.domain.certificate import certificates, overall, quality_caveats
from tests.services.viz.lakes import Market, Setting, certificate

MONTHS = [certificate("BTCUSDT", "2022-01"), certificate("BTCUSDT", "2022-02", "D"), certificate("ETHUSDT", "2022-01")]


def test_a_symbols_grade_is_that_of_its_worst_month_and_says_why():
    bitcoin, ether = certificates(MONTHS)
    assert (bitcoin["grade"], bitcoin["word"], bitcoin["share"]) == ("D", "visible faults", "1 month of 2")
    assert bitcoin["reasons"] == ["9 ids are missing, 0.75 % of all."]
    assert (ether["grade"], ether["share"], ether["reasons"]) == ("A", "", ["No check found anything."])
    assert overall(MONTHS) == "D"


def test_every_month_has_its_row():
    (first, second) = certificates(MONTHS)[0]["months"]
    assert (first["month"], first["grade"], first["cells"]) == ("2022-01", "A", ["120,000", "0", "0", "12 min", "–"])
    assert (second["grade"], second["cells"][2], second["why"]) == ("D", "9", "9 ids are missing, 0.75 % of all.")


def test_the_checks_of_the_worst_month_are_listed_and_those_not_made_have_no_letter():
    bitcoin = certificates(MONTHS)[0]
    assert bitcoin["checked"] == "2022-02"
    assert [(check["name"], check["grade"]) for check in bitcoin["checks"]] == [
        ("days", "A"), ("id continuity", "D"), ("silences", "A"), ("official bars", "–"),
    ]  # fmt: skip


@pytest.mark.parametrize(("equal", "text"), [(1440, "all equal"), (1437, "99.79\u2009% equal")])
def test_equal_minutes_are_told_by_their_share(equal, text):
    compared = {"name": "klines", "grade": "A", "verdict": "passed", "text": "", "numbers": {}}
    compared["numbers"] = {"compared": 1440, "equal": equal}
    (month,) = certificates([certificate("X", "2022-01", checks=[compared])])[0]["months"]
    assert month["cells"][-1] == text


@pytest.mark.parametrize(
    ("grade", "minimum", "weights"),
    [
        ("A", None, []),
        ("B", None, []),
        ("B", "A", ["warning"]),
        ("C", None, ["note"]),
        ("C", "B", ["warning"]),
        ("D", None, ["warning"]),
    ],
)
def test_a_grade_below_b_is_something_to_know_before_one_believes(grade, minimum, weights):
    found = quality_caveats([certificate("X", "2022-01", grade)], "X", minimum)
    assert [caveat.weight for caveat in found] == weights
    assert all("2022-01 have grade" in caveat.text for caveat in found)
    assert quality_caveats([certificate("X", "2022-01", grade)], "Y", minimum) == []


def test_days_that_were_left_out_are_told_with_the_grade_as_found():
    record = certificate("X", "2022-01", left_out_days=["2022-01-03"], grade_as_found="E")
    (caveat,) = quality_caveats([record], "X", "B")
    assert "2022-01-03" in caveat.text
    assert certificates([record])[0]["months"][0]["why"].startswith("1 day left out (E as found).")


def page_of(draw, symbol, found):
    setting = Setting(
        markets=[Market(symbol, n_bars=80)], parameters={"fast": (3, 5), "slow": (9, 12)}, certificates=found
    )
    return draw(setting)["report.html"].decode()


def test_the_report_shows_the_grade_large_and_at_the_top(draw):
    page = page_of(draw, "LTCUSDT", [certificate("LTCUSDT", "2022-01"), certificate("LTCUSDT", "2022-02", "D")])
    assert '<div class="grade gD"' in page
    assert 'data <span class="letter gD">D</span>' in page
    assert "The data have faults" in page
    assert "9 ids are missing, 0.75 % of all." in page


def test_a_report_of_data_without_certificates_says_so(draw):
    assert "The download left no certificate" in page_of(draw, "XRPUSDT", ())
