"""Lines that look like those before them, and lines that nearly do: what the careful reader and the slow one read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from services.download.domain.layouts import layout_of
from services.download.kernels import rows as careful
from services.download.kernels import trades as fast
from services.download.kernels.swar import PADDING
from tests.services.download.kernels.test_trades import LAYOUTS, expected, parse

LINES = {
    "spot": b"401000001,46526.61000000,0.00479000,701428934,701428935,1641257958873,False,True\n",
    "coinm": b"7,6.5,2,1234,12345678,1641257958873,true\n",
    "usdm": b"1234567890123456,99999999.9,12.5,100000000,99999999999,1704412800000123,true\n",
}


@pytest.mark.parametrize("market", LINES)
@pytest.mark.parametrize("byte", [*range(0x2A, 0x3C), 0x00, 0x0A, 0x0D, 0x20, 0x7F, 0x80, 0xB0, 0xB9, 0xFF])
def test_a_wrong_byte_in_a_line_like_the_others_gives_what_the_careful_reader_gives(market, byte):
    layout, good = layout_of(market, "aggTrades"), LINES[market]
    for at in range(len(good) - 1):
        spoilt = bytearray(good)
        spoilt[at] = byte
        text = good * 2 + bytes(spoilt) + good
        wide = np.zeros((5, layout.width), np.int64)
        n, after, fault = careful.parse_rows(np.frombuffer(text, np.uint8), 0, layout.kinds, wide)
        rows, fast_after, fast_fault = parse(text, layout)
        if fast_fault == fast.UNPACKED:
            assert len(rows) == 2 < n
            continue
        assert (len(rows), fast_after, fast_fault) == (n, after, fault)
        if fault == careful.OK:
            lines = text.decode().replace("\r\n", "\n").removesuffix("\n").split("\n")
            assert rows == expected(lines, layout)[0]


@st.composite
def counting_lines(draw):
    """Trades whose ids and times count up, over the edges of their digits too, and prices and quantities around one."""
    layout = layout_of(*draw(st.sampled_from(LAYOUTS)))
    edge = st.sampled_from([10**n for n in range(18)])
    starts = [max(0, draw(edge) - draw(st.integers(0, 12))) for _ in range(4)]
    price = draw(st.sampled_from([99_900, 10**6, 5 * 10**9 - 3, 10**10 - 5]))
    places, end = draw(st.integers(0, 8)), draw(st.sampled_from(["\n", "\r\n"]))
    lines = []
    for i in range(draw(st.integers(2, 24))):
        now = price + draw(st.integers(0, 200))
        middle = [starts[1] + i, starts[2] + i] if layout.aggregates else [f"{now}.5"]
        fields = [
            starts[0] + i,
            f"{now // 100}.{now % 100:02}" + "0" * (places if i % 7 else 0),
            f"{i}.{i:08}",
            *middle,
        ]
        fields += [starts[3] + 7 * i, draw(st.sampled_from(["True", "False"])), *["True"] * layout.best_match]
        lines.append(",".join(map(str, fields)))
    return layout, lines, end


@example_settings(max_examples=400, deadline=None)
@given(counting_lines())
def test_t14_lines_that_count_up_are_read_as_the_slow_reader_reads_them(case):
    layout, lines, end = case
    rows, at, fault = parse("".join(line + end for line in lines).encode(), layout)
    wanted, _, why = expected(lines, layout)
    assert (rows, fault) == (wanted, why)
    assert at == sum(len(line) + len(end) for line in lines[: len(rows)])


def test_what_is_alike_is_read_from_the_places_of_the_line_before():
    """One line is enough to know the next ones by; what is known is of that line alone."""
    layout = layout_of("spot", "aggTrades")
    widths, block = np.zeros(fast.WIDTHS, np.uint64), np.zeros((7, 9), np.int64)
    text = np.frombuffer(LINES["spot"] * 3 + bytes(PADDING), np.uint8)
    end = 3 * len(LINES["spot"])
    row = np.zeros(layout.width, np.int64)
    n, at, fault = fast.parse_trades(text, 0, end, layout.kinds, True, True, block, 0, 9, row, widths)
    assert (n, at, fault) == (3, end, careful.OK)
    assert block[:, :3].T.tolist() == [[401000001, 1641257958873, 4652661000000, 479000, 0, 701428934, 701428935]] * 3
    assert [int(widths[k]) for k in (10, 11, 43)] == [1, len(b"401000001,46526.61000000,"), 35]
