"""Text in chunks, wherever they are cut: the same rows, and faults at the same line."""

from itertools import cycle, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from services.download.domain.errors import BadHeader, BadRow
from services.download.domain.layouts import layout_of
from services.download.domain.text import LONGEST_LINE, PACKED_BLOCK, Packed, RowReader, _cut
from services.download.domain.trades import as_rows
from services.download.kernels.swar import PADDING
from services.download.kernels.trades import PLACES
from tests.services.download.sources import T0

LAYOUT = layout_of("spot", "aggTrades")
NAMES = ("trade_id", "ts", "price", "quantity", "is_buyer_maker", "first_id", "last_id")
HEADER = b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker,is_best_match\n"


def line(i: int, price: str = "61837.63000000") -> bytes:
    return f"{i},{price},0.{i:03}00000,{10 * i},{10 * i + 9},{T0 + i},{i % 2 == 0},True\n".encode()


def read(chunks, fast=True):
    """Return (rows, has_header, n_lines), or the error, of both kinds of blocks as rows of one kind."""
    reader, group, begin = RowReader("TEST.zip", LAYOUT), np.empty((7, PACKED_BLOCK + 5), np.int64), cycle((0, 3, 5))
    rows = []
    try:
        for part in reader.read_trades(chunks, lambda: (group, next(begin))) if fast else reader.read(chunks):
            assert part.line == reader.n_lines + 1
            if isinstance(part, Packed):
                columns = dict(zip(NAMES, part.group[:, part.begin : part.end], strict=True))
                rows += as_rows(columns, {"price": PLACES, "quantity": PLACES}, LAYOUT).tolist()
            else:
                rows += part.rows.tolist()
    except (BadRow, BadHeader) as error:
        return type(error), str(error)
    return rows, reader.has_header, reader.n_lines


TEXTS = {
    "plain": b"".join(map(line, range(1, 6))),
    "no last line end": b"".join(map(line, range(1, 6)))[:-1],
    "crlf": b"".join(map(line, range(1, 6))).replace(b"\n", b"\r\n"),
    "mark and header": b"\xef\xbb\xbf" + HEADER + b"".join(map(line, range(1, 4))),
    "blank lines at the end": line(1) + line(2) + b"\n\r\n\n",
    "a blank line inside": line(1) + line(2) + b"\n" + line(3) + line(4),
    "a fault": line(1) + line(2) + line(3).replace(b"0.003", b"0.0x3") + line(4),
    "one that does not pack": line(1) + line(2, "0.000000000000000001") + line(3) + line(4),
    "careful ones": line(1, "6.183763e4") + line(2, "+1") + line(3, ".5") + line(4),
    "another header": b"a,b,c\n" + line(1),
    "a header alone": HEADER,
    "nothing": b"",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_cut_at_any_byte_is_the_same_text(name):
    text = TEXTS[name]
    whole = read([text], fast=False)
    assert read([text]) == whole
    for cut in range(len(text) + 1):
        assert read([text[:cut], text[cut:]]) == whole, cut
        assert read([text[:cut], b"", text[cut:]], fast=False) == whole, cut


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 7, 31, 32, 33, 64, 100])
def test_a_text_in_chunks_of_any_size_is_the_same_text(name, size):
    text = TEXTS[name]
    assert read([text[i : i + size] for i in range(0, len(text), size)]) == read([text], fast=False)


@example_settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(["7.50000000", "1e-3", "-0.5", "0.123456789", "12.", "123456789012.5"]), max_size=30),
    st.lists(st.integers(0, 3000), max_size=12),
)
def test_t14_wherever_a_text_is_cut_both_lanes_read_the_same(prices, cuts):
    text = b"".join(line(i, price) for i, price in enumerate(prices))
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[begin:end] for begin, end in pairwise(edges)]
    assert read(chunks) == read([text], fast=False)


@given(st.lists(st.integers(0, 400), max_size=6), st.booleans())
def test_whole_lines_have_bytes_after_them_that_may_be_loaded(cuts, ended):
    text = b"".join(map(line, range(4))) if ended else b"".join(map(line, range(4)))[:-1]
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = list(_cut([text[begin:end] for begin, end in pairwise(edges)], lambda _: None))
    assert b"".join(piece.text[piece.at : piece.end] for piece in pieces) == text + b"\n" * (not ended)
    for piece in pieces:
        assert piece.text[piece.end - 1 : piece.end] == b"\n"
        assert len(piece.text) - piece.end >= PADDING


def test_more_lines_than_a_block_holds_are_read_from_one_chunk():
    text = b"".join(line(i) for i in range(20_000))
    assert read([text]) == read([text], fast=False)
    assert np.array(read([text])[0]).shape == (20_000, LAYOUT.width)


@pytest.mark.parametrize("fast", [True, False])
def test_a_line_without_an_end_does_not_fill_the_memory(fast):
    endless = [line(1), line(2)[:-1]] + [b"0" * 4096] * (LONGEST_LINE // 4096 + 1)
    assert read(endless, fast) == (BadRow, "TEST.zip, line 2: it is longer than 65,536 bytes")
    assert read([b"1" * (LONGEST_LINE + 1)], fast)[1].startswith("TEST.zip, line 1: it is longer")
