"""The parser of archive text: exact, and a fault for everything that is no number."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from services.download.kernels import rows as parser
from services.download.kernels.rows import BOOLEAN, DECIMAL, INTEGER, SKIP, parse_rows, read_decimal
from tests.naive import download as naive

KINDS = [INTEGER, DECIMAL, DECIMAL, INTEGER, BOOLEAN, SKIP]


def parse(text: bytes, kinds=KINDS, capacity=1000):
    rows = np.zeros((capacity, sum(parser.WIDTH[k] for k in kinds)), np.int64)
    n, at, fault = parse_rows(np.frombuffer(text, np.uint8), 0, np.array(kinds, np.int64), rows)
    return rows[:n].tolist(), at, fault


def decimal(text: str):
    return read_decimal(np.frombuffer(text.encode() + b"\n", np.uint8), 0)


@pytest.mark.parametrize(
    ("text", "digits", "places"),
    [
        ("61837.63000000", 6183763, 2),
        ("0.00141342", 141342, 8),
        ("1.912e-05", 1912, 8),
        ("1E3", 1000, 0),
        ("10e-1", 1, 0),
        ("1200.5e-1", 12005, 2),
        ("0.00000000", 0, 0),
        ("0e99", 0, 0),
        ("000.10", 1, 1),
        ("-0.5", -5, 1),
        (".5", 5, 1),
        ("5.", 5, 0),
        ("999999999999999999", 10**18 - 1, 0),
        ("0.000000000000000001", 1, 18),
        ("1.0000000000000000000000000000", 1, 0),
        ("0.1", 1, 1),
    ],
)
def test_a_decimal_is_read_to_the_last_digit(text, digits, places):
    got_digits, got_places, _, fault = decimal(text)
    assert (got_digits, got_places, fault) == (digits, places, parser.OK)
    assert naive.value(digits, places) == Decimal(text)


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-inf", "Infinity", "", "-", ".", "e5", "--1", " 1"])
def test_t10_what_is_no_number_has_a_fault(text):
    assert decimal(text)[3] == parser.NOT_A_NUMBER


@pytest.mark.parametrize("text", ["1e30", "1000000000000000000", "1e-19", "1234567890.1234567891", "1e999999999999"])
def test_t10_a_number_that_does_not_fit_has_a_fault_of_its_own(text):
    assert decimal(text)[3] == parser.TOO_LONG


def test_a_row_has_digits_and_places_side_by_side():
    rows, at, fault = parse(b"7,61837.63000000,0.02000000,1723161255342,True,True\r\n")
    assert (rows, fault) == ([[7, 6183763, 2, 2, 2, 1723161255342, 1]], parser.OK)
    assert at == 53


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"1,1,1,1,true\n", parser.COLUMNS),
        (b"1,1,1,1,true,x,y\n", parser.COLUMNS),
        (b"1,1,1,1\n", parser.COLUMNS),
        (b"1,1.5x,1,1,true,x\n", parser.NOT_A_NUMBER),
        (b"1,1,1,1.5,true,x\n", parser.NOT_A_NUMBER),
        (b"1,1,1,1,yes,x\n", parser.NOT_A_BOOLEAN),
        (b"1,1,1,1,truely,x\n", parser.NOT_A_NUMBER),
        (b"1,\xff,1,1,true,x\n", parser.NOT_ASCII),
        (b"1,1,1,1,true,\xe5\n", parser.NOT_ASCII),
        (b"\n", parser.BLANK),
        (b"\r\n", parser.BLANK),
        (b"1,1,1,12345678901234567890,true,x\n", parser.TOO_LONG),
    ],
)
def test_t10_a_line_with_a_fault_stops_the_parser_before_it(line, fault):
    good = b"1,1.5,2,3,false,\n"
    rows, at, found = parse(good + line + good)
    assert (len(rows), at, found) == (1, len(good), fault)


def test_a_full_block_stops_at_the_next_line():
    line = b"1,1.5,2,3,false,\n"
    rows, at, fault = parse(line * 5, capacity=2)
    assert (len(rows), at, fault) == (2, 2 * len(line), parser.OK)


FIELD = st.one_of(
    st.integers(-(10**19), 10**19).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.floats().map(repr),
    st.sampled_from(["", "true", "False", "TRUE", "1e5", "-1.50e-3", "0x1", "1_0", "é", "+7", "00012", "1.", ".0"]),
    st.text(alphabet="0123456789.eE+-truefals \xe9", max_size=12),
)


@example_settings(max_examples=2000)
@given(st.lists(FIELD, min_size=1, max_size=5), st.lists(st.sampled_from([0, 1, 2, 3]), min_size=1, max_size=5))
def test_t14_any_line_is_read_as_the_slow_reader_reads_it(fields, kinds):
    line = ",".join(fields)
    expected = naive.row(line, kinds)
    rows, _, fault = parse(line.encode() + b"\n", kinds)
    if expected is None or not line:
        assert fault != parser.OK
    else:
        assert (rows, fault) == ([expected], parser.OK)


@example_settings(max_examples=500)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=0, max_value=10**9))
def test_t14_a_price_as_exchanges_write_it_comes_back_unchanged(number):
    digits, places, _, fault = decimal(f"{number:f}")
    assert fault == parser.OK
    assert naive.value(digits, places) == number
