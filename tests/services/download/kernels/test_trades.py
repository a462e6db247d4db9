"""The fast lane of trades: the same numbers and the same faults as the careful reader, and as the slow one."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from services.download.domain.layouts import layout_of
from services.download.kernels import rows as parser
from services.download.kernels import trades as fast
from services.download.kernels.klines import first_wrong
from services.download.kernels.lines import read_rows, widths_of
from services.download.kernels.swar import PADDING
from tests.naive import download as naive

LAYOUTS = [(market, kind) for market in ("spot", "usdm") for kind in ("trades", "aggTrades")]
GOOD = b"7,61837.63000000,0.02000000,11,12,1723161255342,True,True\n"


def parse(text: bytes, layout, capacity=1000):
    """Return (rows as lists in the order of a block, position, fault). What follows the text must not matter."""
    block = np.zeros((len(layout.slots), 3 + capacity + 2), np.int64)
    row, widths = np.zeros(layout.width, np.int64), np.zeros(fast.WIDTHS, np.uint64)
    found = []
    for after in (b"\0", b"9", b"\n", b",", b"\xff"):
        data = np.frombuffer(text + after * PADDING, np.uint8)
        n, at, fault = fast.parse_trades(
            data,
            0,
            len(text),
            layout.kinds,
            layout.aggregates,
            layout.best_match,
            block,
            3,
            3 + capacity,
            row,
            widths,
        )
        assert not block[:, [0, 1, 2, -2, -1]].any()
        found.append((block[:, 3 : 3 + n].T.tolist(), at, fault))
    assert all(one == found[0] for one in found)
    return found[0]


def expected(lines: list[str], layout):
    """Read lines by the slow reader: (rows, position, fault), the fault by the careful one where there is any."""
    rows, at = [], 0
    for line in lines:
        row = naive.row(line, layout.kinds.tolist())
        if row is None or not line:
            text = np.frombuffer("".join(one + "\n" for one in lines).encode(), np.uint8)
            wide = np.zeros((len(lines), layout.width), np.int64)
            fault = parser.parse_rows(text, 0, layout.kinds, wide)[2]
            assert fault != parser.OK
            return rows, at, fault
        named = {name: row[slot] for name, slot in layout.slots.items()}
        for name in ("price", "quantity"):
            digits, places = row[layout.slots[name]], row[layout.slots[name] + 1]
            if places > 8 or abs(digits) * 10 ** (8 - places) >= 10**18:
                return rows, at, fast.UNPACKED
            named[name] = digits * 10 ** (8 - places)
        order = ("trade_id", "ts", "price", "quantity", "is_buyer_maker", "first_id", "last_id")
        rows.append([named[name] for name in order if name in named])
        at += len(line.encode()) + 1
    return rows, at, parser.OK


WHOLE = st.integers(0, 10**17).map(str)
NUMBER = st.one_of(
    WHOLE,
    st.integers(0, 10**16).map(lambda n: f"{n // 10**8}.{n % 10**8:08}"),
    st.tuples(st.integers(0, 10**11), st.integers(0, 10)).map(lambda p: f"{p[0] * 10.0 ** -p[1]:.{p[1]}f}"),
)
ODD = st.one_of(
    st.sampled_from(["", "-1", "+5", "1e-5", "1.912E+2", ".5", "5.", "NaN", "00012", "é", "1.5\r", " 1", "1" * 19]),
    st.sampled_from(["0.123456789", "12345678901.5", "9999999999.99999999", "0.000000000000000001", "10000000000"]),
    st.text(alphabet="0123456789.eE+-:/;truefalsTRUEFALS \xe9\r", max_size=20),
    st.text(alphabet="0123456789", min_size=6, max_size=20),
)
BOOLEAN = st.sampled_from(["True", "False", "true", "false", "TRUE", "fAlSe"])
BY_KIND = {parser.INTEGER: WHOLE, parser.DECIMAL: NUMBER, parser.BOOLEAN: BOOLEAN, parser.SKIP: NUMBER | BOOLEAN}


@st.composite
def trade_lines(draw):
    """Lines of one layout, most of them well, some with a field that is odd, one too many or one too few."""
    layout = layout_of(*draw(st.sampled_from(LAYOUTS)))
    lines = []
    for _ in range(draw(st.integers(1, 6))):
        fields = [draw(BY_KIND[kind]) for kind in layout.kinds.tolist()]
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
            fields[draw(st.integers(0, len(fields) - 1))] = draw(ODD)
        if draw(st.sampled_from([False] * 9 + [True])):
            fields = fields[:-1] if draw(st.booleans()) else [*fields, "1"]
        lines.append(",".join(fields))
    return layout, lines


@example_settings(max_examples=3000, deadline=None)
@given(trade_lines())
def test_t14_any_lines_are_read_as_the_slow_reader_reads_them(case):
    layout, lines = case
    lines = [line.replace("\r", "") for line in lines]
    assert parse("".join(line + "\n" for line in lines).encode(), layout) == expected(lines, layout)


@example_settings(max_examples=1500, deadline=None)
@given(trade_lines())
def test_t14_any_lines_stop_both_lanes_at_the_same_place_with_the_same_fault(case):
    layout, lines = case
    text = "".join(line + "\r\n" for line in lines).encode()
    wide = np.zeros((len(lines), layout.width), np.int64)
    n, at, fault = parser.parse_rows(np.frombuffer(text, np.uint8), 0, layout.kinds, wide)
    rows, fast_at, fast_fault = parse(text, layout)
    if fast_fault == fast.UNPACKED:
        assert len(rows) < n
        digits, places = wide[len(rows), [1, 3]], wide[len(rows), [2, 4]]
        assert any(
            p > 8 or abs(d) * 10 ** (8 - p) >= 10**18 for d, p in zip(digits.tolist(), places.tolist(), strict=True)
        )
    else:
        assert (len(rows), fast_at, fast_fault) == (n, at, fault)


@pytest.mark.parametrize("n_digits", range(1, 20))
@pytest.mark.parametrize("column", [0, 3, 4, 5])
def test_whole_numbers_of_any_length_are_read(n_digits, column):
    layout, fields = layout_of("spot", "aggTrades"), GOOD.decode().strip().split(",")
    fields[column] = "9" * n_digits
    line = ",".join(fields)
    assert parse(line.encode() + b"\n", layout) == expected([line], layout)


@pytest.mark.parametrize("n_whole", range(13))
@pytest.mark.parametrize("n_places", range(11))
def test_decimals_of_any_form_are_read(n_whole, n_places):
    layout = layout_of("spot", "aggTrades")
    price = "123456789012"[:n_whole] + "." * (n_places > 0) + "9876543219"[:n_places]
    line = GOOD.decode().strip().replace("61837.63000000", price)
    assert parse(line.encode() + b"\n", layout) == expected([line], layout)


@pytest.mark.parametrize("byte", [*range(0x2A, 0x3C), 0x00, 0x0B, 0x20, 0x7F, 0x80, 0xB0, 0xB9, 0xFF])
def test_a_wrong_byte_anywhere_gives_what_the_careful_reader_gives(byte):
    layout = layout_of("spot", "aggTrades")
    for at in range(len(GOOD) - 1):
        spoilt = bytearray(GOOD)
        spoilt[at] = byte
        wide = np.zeros((1, layout.width), np.int64)
        n, after, fault = parser.parse_rows(np.frombuffer(bytes(spoilt), np.uint8), 0, layout.kinds, wide)
        rows, fast_after, fast_fault = parse(bytes(spoilt), layout)
        if fast_fault == fast.UNPACKED:
            assert (n, rows) == (1, [])
            continue
        assert (len(rows), fast_after, fast_fault) == (n, after, fault)
        if n:
            assert rows == expected([spoilt[:-1].decode()], layout)[0]


def test_a_full_block_stops_at_the_next_line():
    layout = layout_of("spot", "aggTrades")
    assert parse(GOOD * 5, layout, capacity=2)[1:] == (2 * len(GOOD), parser.OK)


def fingerprint() -> str:
    """Return a digest of what both kernels make of lines of every sort."""
    layout = layout_of("spot", "aggTrades")
    text = b"".join(
        b"%d,%d.%08d,0.5,%d,%d,%d,%s,True\n" % (i, i * 7, i, 10 * i, 10 * i + 9, 10**12 * 10 ** (i % 5), flag)
        for i, flag in enumerate([b"True", b"false", b"FALSE"] * 20)
    )
    text += GOOD.replace(b"0.02000000", b"2e-5") + b"1,0,0,-1,-1,5,true,true\n" + GOOD.replace(b"7,6", b"8,-6")
    rows, at, fault = parse(text, layout)
    group = np.array(rows, np.int64).T.copy()
    day = (10**15, 10**15 + 5)
    stops, i, filled = [], 0, 0
    while i < group.shape[1]:
        stop = fast.take_trades(group, i, group.shape[1], (0, 10**17), day, -1, filled, 100)
        stops.append([int(x) for x in stop])
        i, filled = stops[-1][0] + 1, stops[-1][1]
    for ts in ((5, 7, 9), (10**15, 10**15 + 4), (7, 10**15 + 4), (5, 10**13)):
        few = np.array([[n, t, 1, 1, 0, n, n] for n, t in enumerate(ts)], np.int64).T.copy()
        stops.append([*map(int, fast.take_at_once(few, 0, len(ts), (0, 2 * 10**15), -1)), *few[1].tolist()])
    lines = np.zeros((100, layout.width), np.int64)
    padded = np.frombuffer(text + bytes(PADDING), np.uint8)
    stops.append([*map(int, read_rows(padded, 0, len(text), layout.kinds, lines, widths_of(layout.kinds)))])
    stops.append([*map(int, first_wrong(lines, np.array([1, 3, 1, 1]), np.array([0])))])
    return hashlib.sha256(repr((rows, int(at), int(fault), stops, group.tolist(), lines.tolist())).encode()).hexdigest()


def test_kernels_give_the_same_compiled_and_as_plain_python() -> None:
    code = "from tests.services.download.kernels.test_trades import fingerprint; print(fingerprint())"
    plain = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=Path(__file__).resolve().parents[4],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.strip() == fingerprint()


FIELD = st.sampled_from([0, 1, 1, 1, 2, -1])


@example_settings(max_examples=500, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 3), st.sampled_from([5, 9, 86_400_005, 10**15 + 7]), *[FIELD] * 4), min_size=1),
    st.booleans(),
    st.integers(-1, 4),
    st.integers(0, 3),
)
def test_columns_taken_at_once_are_those_that_are_taken_one_by_one_or_none_is(rows, aggregates, before, begin):
    columns = []
    for i, (step, ts, price, quantity, first, last) in enumerate(rows):
        columns.append([i * 2 + step, ts, price, quantity, i % 2, first, last][: 7 if aggregates else 5])
    there = np.zeros((len(columns[0]), begin), np.int64)
    group = np.concatenate([there, np.array(columns, np.int64).T], axis=1)
    at_once, one_by_one, end = group.copy(), group.copy(), group.shape[1]
    day = (0, 86_400_000_000) if rows[0][1] < 10**14 else (10**15, 10**15 + 100)
    found = fast.take_trades(one_by_one, begin, end, (0, 10**17), day, before, begin, end)
    well, n_milliseconds = fast.take_at_once(at_once, begin, end, day, before)
    mixed = len({ts < 10**14 for _, ts, *_ in rows}) == 2
    assert well == (found[:3] == (end, end, fast.TAKEN) and not mixed)
    assert np.array_equal(at_once, one_by_one if well else group)
    assert n_milliseconds == (found[3] if well else 0)
