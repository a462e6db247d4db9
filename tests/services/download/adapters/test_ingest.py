"""Text of archives to partitions: the traps of EXCHANGE_FORMATS.md, one by one."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from services.download.domain.errors import (
    BadHeader,
    BadRow,
    ConflictingRows,
    DoesNotFit,
    WrongInterval,
    WrongPeriod,
)
from tests.services.download.sources import DAY, T0, own_lake, read, table, trade

DAY_MS = 86_400_000


@pytest.fixture
def lake(tmp_path):
    return own_lake(tmp_path)


def facts(part):
    return part.facts["quality"]


def test_trades_become_canonical_columns_with_exact_decimals(lake):
    part = read(lake, trade(1, price="61837.63000000", quantity="0.00009000") + trade(2, maker="False"))
    assert table(lake, part) == {
        "trade_id": [1, 2],
        "ts": [(T0 + 1000) * 1000, (T0 + 2000) * 1000],
        "price": [Decimal("61837.63"), Decimal("100.5")],
        "quantity": [Decimal("0.00009"), Decimal("0.25")],
        "is_buyer_maker": [True, False],
    }
    entry = part.files[0]
    assert entry.name == "BTCUSDT/2024-01-05.parquet"
    assert entry.facts["quantity"] == "0.25009"
    assert entry.facts["notional"] == str(Decimal("61837.63") * Decimal("0.00009") + Decimal("25.125"))
    assert (entry.facts["price_scale"], entry.facts["quantity_scale"]) == (2, 5)


def test_aggregate_trades_keep_the_ids_of_their_trades(lake):
    part = read(lake, f"5,0.1,2,10,12,{T0},true,True\n", "aggTrades")
    assert table(lake, part)["first_id"] == [10]
    assert table(lake, part)["last_id"] == [12]


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        ((T0, T0 + 1), "ms"),
        ((T0 * 1000, T0 * 1000 + 1000), "us"),
        ((T0, T0 * 1000 + 1000), "mixed"),
    ],
)
def test_t07_milliseconds_and_microseconds_are_told_apart_row_by_row(lake, times, unit):
    part = read(lake, trade(1, times[0]) + trade(2, times[1]))
    assert table(lake, part)["ts"] == [T0 * 1000, T0 * 1000 + 1000]
    assert facts(part)["time_unit"] == unit


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("header", ["", "id,price,qty,quote_qty,time,is_buyer_maker,is_best_match\n"])
@pytest.mark.parametrize("tail", ["", "\n", "\n\n"])
def test_t07_line_ends_byte_order_mark_header_and_last_line_make_no_difference(lake, ending, bom, header, tail):
    text = (header + trade(1) + trade(2)).rstrip("\n") + tail
    part = read(lake, bom + text.replace("\n", ending).encode())
    plain = read(lake, trade(1) + trade(2))
    assert part.files[0] == plain.files[0]
    assert facts(part)["header"] == bool(header)


@pytest.mark.parametrize(
    "header", ["id,qty,price,quote_qty,time,is_buyer_maker,is_best_match\n", "id,price,qty,time\n", "PK\x03\x04\n"]
)
def test_a_header_of_other_columns_is_refused(lake, header):
    with pytest.raises(BadHeader, match="header"):
        read(lake, header + trade(1))


@pytest.mark.parametrize(("true", "false"), [("True", "False"), ("true", "false"), ("TRUE", "FALSE")])
def test_t07_booleans_are_read_in_any_capitals(lake, true, false):
    part = read(lake, trade(1, maker=true) + trade(2, maker=false))
    assert table(lake, part)["is_buyer_maker"] == [True, False]


def test_t07_numbers_in_scientific_notation_are_those_written_out(lake):
    short = read(lake, trade(1, price="6.183763e4", quantity="1.912e-05") + trade(2, price="1E2", quantity="2.5e+0"))
    plain = read(lake, trade(1, price="61837.63", quantity="0.00001912") + trade(2, price="100", quantity="2.5"))
    assert short.files[0] == plain.files[0]
    assert table(lake, short)["quantity"] == [Decimal("0.00001912"), Decimal("2.5")]


def test_t08_a_month_whose_days_are_interleaved_has_the_partitions_of_one_in_order(lake):
    days = [[trade(1000 * day + i, ts=T0 + day * DAY_MS + i) for i in range(40)] for day in range(3)]
    tidy = read(lake, "".join(line for day in days for line in day), last=date(2024, 1, 7))
    pieces = [days[day][begin : begin + 10] for begin in range(0, 40, 10) for day in range(3)]
    mixed = read(lake, "".join(line for piece in pieces for line in piece), last=date(2024, 1, 7))
    assert mixed.files[:-1] == tidy.files[:-1]
    assert len(tidy.files) == 4


def test_t07_an_empty_file_is_a_day_without_trades_and_says_so(lake):
    part = read(lake, b"")
    assert [entry.name for entry in part.files] == ["quality/TEST.json"]
    assert facts(part)["missing_days"] == ["2024-01-05"]


def test_t08_shuffled_rows_are_put_in_order_and_counted(lake):
    part = read(lake, trade(3) + trade(1) + trade(2))
    assert table(lake, part)["trade_id"] == [1, 2, 3]
    assert facts(part)["counts"]["out_of_order"] == 1
    assert part.files[0] == read(lake, trade(1) + trade(2) + trade(3)).files[0]


def test_t08_equal_rows_of_one_id_are_one_trade(lake):
    part = read(lake, trade(1) + trade(2) + trade(1))
    assert table(lake, part)["trade_id"] == [1, 2]
    assert facts(part)["dropped"]["duplicate"] == 1


def test_t08_different_rows_of_one_id_are_refused(lake):
    with pytest.raises(ConflictingRows, match="id 1 "):
        read(lake, trade(1) + trade(2) + trade(1, price="7"))


def test_t08_one_id_on_two_days_is_refused(lake):
    text = trade(1) + trade(2) + trade(2, T0 + DAY_MS) + trade(3, T0 + DAY_MS)
    with pytest.raises(ConflictingRows, match="id 2 "):
        read(lake, text, last=date(2024, 1, 6))


def test_t08_rows_of_other_days_are_dropped_and_counted(lake):
    part = read(lake, trade(1, T0 - 1) + trade(2) + trade(3, T0 + DAY_MS))
    assert table(lake, part)["trade_id"] == [2]
    assert facts(part)["dropped"]["other_day"] == 2


def test_t08_an_archive_of_another_day_altogether_is_refused(lake):
    with pytest.raises(WrongPeriod, match="none of its 2 rows"):
        read(lake, trade(1, T0 - 5) + trade(2, T0 - 4))


def test_seconds_are_not_taken_for_milliseconds(lake):
    with pytest.raises(WrongPeriod):
        read(lake, trade(1, T0 // 1000))


def test_sentinel_rows_are_dropped_and_counted(lake):
    rows = f"5,0.1,2,10,12,{T0},true,True\n5,0,0,-1,-1,{T0},true,True\n6,0.2,2,13,13,{T0},true,True\n"
    part = read(lake, rows, "aggTrades")
    assert table(lake, part)["trade_id"] == [5, 6]
    assert facts(part)["dropped"]["sentinel"] == 1


VOID = "0.00000000,0.00000000,-1,-1"


def aggregates(*ids, void=()):
    """Return a line for each id, void ones as the exchange leaves them: in place, with their own id."""
    return "".join(f"{i},{VOID if i in void else f'0.1,2,{i},{i}'},{T0 + 1000 * i},true,True\n" for i in ids)


@pytest.mark.parametrize("order", [1, -1])  # as they come, and by way of the scratch disk
def test_ids_of_void_rows_are_not_missing(lake, order):
    part = read(lake, aggregates(*range(1, 12)[::order], void=(1, 4, 5, 8, 11)), "aggTrades")
    assert table(lake, part)["trade_id"] == [2, 3, 6, 7, 9, 10]
    found = facts(part)
    assert (found["dropped"]["sentinel"], found["id_gaps"]["count"]) == (5, 0)
    assert found["days"]["2024-01-05"]["ids_missing"] == 0
    assert found["void_ids"] == [[1, 1], [4, 5], [8, 8], [11, 11]]


def test_ids_beside_void_ones_are_still_missing(lake):
    found = facts(read(lake, aggregates(1, 2, 4, 6, 7, 9, void=(4, 7, 9)), "aggTrades"))
    assert (found["id_gaps"]["count"], found["id_gaps"]["missing"]) == (2, 2)
    assert found["days"]["2024-01-05"]["ids_missing"] == 2


def test_a_void_row_that_repeats_an_id_tells_of_no_other(lake):
    rows = aggregates(5, 6, 8) + f"6,{VOID},{T0 + 6000},true,True\n"
    found = facts(read(lake, rows, "aggTrades"))
    assert (found["void_ids"], found["id_gaps"]["missing"]) == ([], 1)


def test_void_ids_at_midnight_are_not_missing(lake):
    rows = aggregates(1, 2, 3, void=(3,)) + f"4,{VOID},{T0 + DAY_MS},true,True\n6,0.1,2,6,6,{T0 + DAY_MS},true,True\n"
    found = facts(read(lake, rows, "aggTrades", last=date(2024, 1, 6)))
    assert (found["id_gaps"]["missing"], found["id_gaps"]["first"][0]["after"]) == (1, 4)


def test_t09_gaps_of_ids_are_counted_and_the_first_are_listed(lake):
    part = read(lake, trade(1) + trade(2) + trade(6) + trade(7) + trade(9))
    gaps = facts(part)["id_gaps"]
    assert (gaps["count"], gaps["missing"], gaps["longest"]) == (2, 4, 3)
    assert gaps["first"][0] == {"after": 2, "before": 6, "missing": 3}


def test_t09_a_gap_of_ids_over_midnight_is_seen(lake):
    part = read(lake, trade(1) + trade(5, T0 + DAY_MS), last=date(2024, 1, 6))
    assert facts(part)["id_gaps"]["missing"] == 3


def test_t09_a_silence_is_a_gap_only_against_the_symbols_own_rhythm(lake):
    busy = "".join(trade(i, T0 + 1000 * i) for i in range(1000)) + trade(1000, T0 + 2_000_000)
    quiet = "".join(trade(i, T0 + 1_000_000 * i) for i in range(80))
    assert facts(read(lake, busy))["time_gaps"]["count"] == 1
    assert facts(read(lake, quiet))["time_gaps"]["count"] == 0


@pytest.mark.parametrize("value", ["NaN", "inf", "-1", "0", "0.00000000", "1e30", ""])
@pytest.mark.parametrize("field", ["price", "quantity"])
def test_t10_a_value_that_no_trade_can_have_is_refused_with_its_line(lake, value, field):
    with pytest.raises(BadRow, match="line 2"):
        read(lake, trade(1) + trade(2, **{field: value}) + trade(3))


@pytest.mark.parametrize("line", ["1,2,3\n", trade(2).strip() + ",1\n", "\n" + trade(2), '"2",1,1,1,1,true,true\n'])
def test_t10_a_line_that_is_no_row_is_refused_with_its_number(lake, line):
    with pytest.raises(BadRow, match="line 3"):
        read(lake, trade(1) + trade(5) + line + trade(6))


def test_t10_bytes_that_are_not_text_are_refused(lake):
    with pytest.raises(BadRow, match="UTF-8"):
        read(lake, trade(1).encode() + b"2,\xc3\x28,1,1,1,true,true\n")


def test_a_day_whose_values_fit_no_common_scale_is_refused(lake):
    with pytest.raises(DoesNotFit, match="price"):
        read(lake, trade(1, price="123456789012345") + trade(2, price="0.00000001"))


def test_a_month_becomes_days_and_its_holes_are_named(lake):
    text = trade(1) + trade(2, T0 + 2 * DAY_MS)
    part = read(lake, text, last=date(2024, 1, 7))
    assert [e.name for e in part.files] == [
        "BTCUSDT/2024-01-05.parquet",
        "BTCUSDT/2024-01-07.parquet",
        "quality/TEST.json",
    ]
    assert facts(part)["missing_days"] == ["2024-01-06"]
    assert json.loads(lake.read_bytes(part.files[-1])) == facts(part)


@example_settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), min_size=1, max_size=40), st.randoms())
def test_in_whatever_order_and_how_often_rows_come_the_partitions_are_the_same(tmp_path_factory, rows, random):
    lake = own_lake(tmp_path_factory.mktemp("ingest"))
    lines = [trade(i, T0 + day * DAY_MS + i, price=f"{price}.5") for i, (day, price) in enumerate(rows)]
    again = lines + random.choices(lines, k=3)
    random.shuffle(again)
    last = date(2024, 1, 7)
    tidy, messy = (read(lake, "".join(text), last=last).files[:-1] for text in (lines, again))
    assert tidy == messy


KLINE = "{t},10.0,12.0,9.5,11.0,5.5,{c},60.5,7,2.5,27.5,0\n"


def kline(i, **change):
    text = KLINE.format(t=T0 + i * 900_000, c=T0 + i * 900_000 + 899_999)
    fields = dict(
        zip(
            ("t", "open", "high", "low", "close", "volume", "c", "q", "n", "b", "bq", "i"), text.split(","), strict=True
        )
    )
    return ",".join((fields | change).values())


def test_klines_become_canonical_columns(lake):
    part = read(lake, kline(0) + kline(1), "klines", "15m")
    got = table(lake, part)
    assert got["ts_open"] == [T0 * 1000, (T0 + 900_000) * 1000]
    assert got["ts_close"] == [(T0 + 900_000) * 1000, (T0 + 1_800_000) * 1000]
    assert got["high"][0] == Decimal("12")
    assert got["buy_notional"][0] == Decimal("27.5")
    assert got["n_trades"] == [7, 7]
    assert part.files[0].facts["volume"] == "11"


def test_klines_that_are_missing_come_twice_or_stand_wrong_are_reported(lake):
    part = read(lake, kline(4) + kline(0) + kline(1) + kline(1), "klines", "15m")
    assert facts(part)["time_gaps"] == {
        "count": 1,
        "missing": 2,
        "longest": 2,
        "first": [{"after": (T0 + 900_000) * 1000, "before": (T0 + 3_600_000) * 1000, "missing": 2}],
    }
    assert facts(part)["dropped"]["duplicate"] == 1
    assert facts(part)["counts"]["out_of_order"] == 1


@pytest.mark.parametrize(
    "change", [{"high": "10.5"}, {"low": "10.5"}, {"open": "0"}, {"volume": "-1"}, {"close": "NaN"}]
)
def test_t10_a_kline_that_cannot_be_is_refused_with_its_line(lake, change):
    with pytest.raises(BadRow, match="line 2"):
        read(lake, kline(0) + kline(1, **change), "klines", "15m")


def test_klines_of_another_interval_are_refused(lake):
    with pytest.raises(WrongInterval, match="900 s"):
        read(lake, kline(0) + kline(1) + kline(2), "klines", "5m")
    with pytest.raises(WrongInterval, match="900 s"):
        read(lake, kline(0) + kline(1) + kline(2), "klines", "1h")


def test_a_kline_partition_is_an_unbroken_run_of_days(lake):
    text = "".join(kline(96 * day) + kline(96 * day + 1) for day in (0, 1, 3))
    part = read(lake, text, "klines", "15m", last=date(2024, 1, 8))
    assert [e.name for e in part.files[:-1]] == ["BTCUSDT/2024-01-05.parquet", "BTCUSDT/2024-01-08.parquet"]
    assert facts(part)["missing_days"] == ["2024-01-07"]


def test_usdm_files_have_their_own_columns(lake):
    header = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
    part = read(lake, f"{header}1,100.5,2,1,3,{T0},false\n", "aggTrades", market="usdm")
    assert table(lake, part)["is_buyer_maker"] == [False]
    assert facts(part)["header"]


def test_the_day_of_the_tests_is_the_day_of_their_times():
    assert datetime.fromtimestamp(T0 / 1000, UTC).date() == DAY
