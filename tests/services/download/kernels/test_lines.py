"""The fast reader of lines against the careful one, which is its slow and obvious twin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.download.domain.layouts import KLINES, layout_of
from services.download.kernels.lines import read_rows, widths_of
from services.download.kernels.rows import BLANK, OK, parse_rows
from services.download.kernels.swar import PADDING

LAYOUTS = [KLINES, layout_of("coinm", "klines"), layout_of("spot", "aggTrades"), layout_of("usdm", "trades")]


def both(text: bytes, layout, capacity=100):
    """Return what each reader makes of a text: rows, how far it came, and why it stopped."""
    several = []
    for fast in (True, False):
        rows = np.full((capacity, layout.width), -7, np.int64)
        if fast:
            padded = np.frombuffer(text + b"9" * PADDING, np.uint8)
            n, at, fault = read_rows(padded, 0, len(text), layout.kinds, rows, widths_of(layout.kinds))
        else:
            n, at, fault = parse_rows(np.frombuffer(text, np.uint8), 0, layout.kinds, rows)
        several.append((rows[:n].tolist(), at, fault))
    return several


FIELDS = st.one_of(
    st.integers(0, 10**18).map(str),
    st.builds(lambda a, b: f"{a}.{b}", st.integers(0, 10**11), st.text("0123456789", max_size=10)),
    st.builds(lambda a, n: f"{a / 100:.2f}" + "0" * n, st.integers(1, 10**9), st.integers(0, 7)),
    st.sampled_from(["", "-1", "+1", "True", "false", "1e-5", "NaN", ".5", "5.", "0", "0.00000000", " 1", "\xa0"]),
)


@given(st.sampled_from(LAYOUTS), st.data())
def test_t14_any_lines_are_read_as_the_careful_reader_reads_them(layout, data):
    n = len(layout.columns)
    fields = st.lists(FIELDS, min_size=n - 1, max_size=n + 1)
    lines = data.draw(st.lists(fields.map(",".join), max_size=6))
    ends = data.draw(st.lists(st.sampled_from(["\n", "\r\n"]), min_size=len(lines), max_size=len(lines)))
    text = "".join(line + end for line, end in zip(lines, ends, strict=True)).encode("latin-1")
    fast, careful = both(text, layout)
    assert fast == careful


def test_a_kline_has_digits_and_as_few_places_as_can_be_side_by_side():
    line = b"1704412800000,1.50000000,20.00,0.00000001,7,0.0,99,12.340,8,0.1,9999999999.99999999,0\n"
    (rows, at, fault), careful = both(line, KLINES)
    assert rows == [[1704412800000, 15, 1, 20, 0, 1, 8, 7, 0, 0, 0, 1234, 2, 8, 1, 1, 999999999999999999, 8]]
    assert (at, fault) == (len(line), OK)
    assert (rows, at, fault) == careful


@pytest.mark.parametrize("n_whole", range(1, 19))
@pytest.mark.parametrize("n_places", [0, 1, 7, 8, 9])
def test_decimals_of_any_length_are_read_to_the_last_digit(n_whole, n_places):
    number = "987654321987654321"[:n_whole] + "." + "123456789"[:n_places]
    fast, careful = both(f"1,1,1,1,1,{number},1,1,1,1,1,1\n".encode() * 2, KLINES)
    assert fast == careful


def test_a_blank_line_and_a_full_block_stop_the_reader():
    line = b"1,1,1,1,1,1,1,1,1,1,1,1\n"
    assert both(line + b"\n" + line, KLINES)[0][1:] == (len(line), BLANK)
    assert both(line * 3, KLINES, capacity=2)[0][1:] == (2 * len(line), OK)
