"""What lies at an archive's URL, and that it is always the same."""

import hashlib
import io
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest

from exchange_sim import archives, dataset, names
from tests.exchange_sim.conftest import SMALL
from tests.exchange_sim.reading import get_rows, get_text, get_zip, url

PRICE8 = r"[0-9]+\.[0-9]{8}"
TRIMMED = r"[0-9]+(\.[0-9]*[1-9])?"
FORMATS = {
    ("spot", "trades"): rf"[0-9]+,{PRICE8},{PRICE8},{PRICE8},[0-9]{{13}},(True|False),True",
    ("spot", "aggTrades"): rf"[0-9]+,{PRICE8},{PRICE8},[0-9]+,[0-9]+,[0-9]{{13}},(True|False),True",
    ("spot", "klines"): rf"[0-9]{{13}}(,{PRICE8}){{5}},[0-9]{{10}}999,{PRICE8},[0-9]+,{PRICE8},{PRICE8},0",
    ("um", "trades"): rf"[0-9]+,{TRIMMED},{TRIMMED},{TRIMMED},[0-9]{{13}},(true|false)",
    ("um", "aggTrades"): rf"[0-9]+,{TRIMMED},{TRIMMED},[0-9]+,[0-9]+,[0-9]{{13}},(true|false)",
    ("um", "klines"): rf"[0-9]{{13}}(,{TRIMMED}){{5}},[0-9]{{10}}999,{TRIMMED},[0-9]+,{TRIMMED},{TRIMMED},0",
}
HEADERS = {
    "trades": "id,price,qty,quote_qty,time,is_buyer_maker",
    "aggTrades": "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
    "klines": "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore",
}


@pytest.mark.parametrize(("market", "kind"), FORMATS)
def test_every_line_is_written_as_binance_writes_it(sim, market, kind):
    interval = "5m" if kind == "klines" else ""
    lines = get_text(sim, market, "daily", kind, "ETHUSDT", "2024-03-05", interval=interval).splitlines()
    if market == "um":
        assert lines.pop(0) == HEADERS[kind]
    assert len(lines) > 100
    for line in lines:
        assert re.fullmatch(FORMATS[market, kind], line), line


def test_a_zip_has_one_member_named_as_the_archive_with_a_fixed_time(sim):
    with zipfile.ZipFile(io.BytesIO(get_zip(sim, url("spot", "daily", "trades", "BTCUSDT", "2024-03-05")))) as zipped:
        (member,) = zipped.infolist()
    assert member.filename == "BTCUSDT-trades-2024-03-05.csv"
    assert member.date_time == (1980, 1, 1, 0, 0, 0)


@pytest.mark.parametrize(("day", "digits"), [("2024-12-31", 13), ("2025-01-01", 16), ("2025-01", 16), ("2024-12", 13)])
@pytest.mark.parametrize(("kind", "column"), [("trades", 4), ("aggTrades", 5), ("klines", 0), ("klines", 6)])
def test_spot_times_are_microseconds_from_2025_on(sim, day, digits, kind, column):
    period = "daily" if len(day) == 10 else "monthly"
    rows = get_rows(sim, "spot", period, kind, "BTCUSDT", day, interval="1h" if kind == "klines" else "")
    assert {len(row[column]) for row in rows} == {digits}
    if kind == "klines" and column == 6:
        assert {row[6][10:] for row in rows} == {"9" * (digits - 10)}


def test_futures_times_stay_milliseconds(sim):
    assert {len(r[4]) for r in get_rows(sim, "um", "daily", "trades", "BTCUSDT", "2025-06-01")} == {13}


@pytest.mark.parametrize(
    ("kind", "day", "headed"),
    [
        ("trades", "2022-08-10", False), ("trades", "2022-08-11", True), ("aggTrades", "2022-08-10", False),
        ("aggTrades", "2022-08-11", True), ("klines", "2022-04-30", False), ("klines", "2022-05-01", True),
        ("trades", "2022-07", False), ("trades", "2022-08", True),
    ],
)  # fmt: skip
def test_futures_files_have_a_header_since_2022(sim, kind, day, headed):
    period = "daily" if len(day) == 10 else "monthly"
    text = get_text(sim, "um", period, kind, "BTCUSDT", day, interval="1h" if kind == "klines" else "")
    assert text[0].isdigit() != headed


@pytest.mark.parametrize("market", ["spot", "um"])
@pytest.mark.parametrize(("kind", "interval"), [("trades", ""), ("aggTrades", ""), ("klines", "15m"), ("klines", "1d")])
def test_a_month_is_its_days_one_after_the_other(sim, market, kind, interval):
    month = get_rows(sim, market, "monthly", kind, "ADAUSDT", "2024-02", interval=interval)
    days = [
        row
        for day in range(1, 30)
        for row in get_rows(sim, market, "daily", kind, "ADAUSDT", f"2024-02-{day:02d}", interval=interval)
    ]
    assert month == days


@pytest.mark.parametrize(("market", "first_id"), [("spot", 0), ("um", 1)])
def test_ids_begin_with_the_listing_and_never_skip(sim, market, first_id):
    listed = {"spot": "2020-08", "um": "2020-09"}[market]
    after = {"spot": "2020-09", "um": "2020-10"}[market]
    for kind in ("trades", "aggTrades"):
        rows = [r for month in (listed, after) for r in get_rows(sim, market, "monthly", kind, "SOLUSDT", month)]
        assert [int(row[0]) for row in rows] == list(range(first_id, first_id + len(rows)))


def test_times_never_go_back_and_stay_in_their_day(sim):
    rows = get_rows(sim, "spot", "daily", "trades", "BTCUSDT", "2025-03-05")
    times = [int(row[4]) for row in rows]
    midnight = int(datetime(2025, 3, 5, tzinfo=UTC).timestamp()) * 1_000_000
    assert times == sorted(times)
    assert midnight <= times[0] <= times[-1] < midnight + 86_400_000_000


def test_equal_urls_give_equal_bytes_in_any_simulator_and_any_order(fresh_sim):
    addresses = [
        url("spot", "monthly", "aggTrades", "BTCUSDT", "2024-01"),
        url("spot", "daily", "klines", "BTCUSDT", "2024-01-31", interval="1m"),
        url("um", "daily", "trades", "XRPUSDT", "2024-01-02"),
        url("spot", "daily", "trades", "BTCUSDT", "2024-01-01", dataset=f"{SMALL},fault=rows_shuffled"),
        url("spot", "daily", "trades", "BTCUSDT", "2024-01-01"),
    ]
    one, other = fresh_sim("one"), fresh_sim("other")
    first = [one.get(address).content for address in addresses]
    second = [other.get(address).content for address in reversed(addresses)][::-1]
    again = [one.get(address).content for address in addresses]
    assert first == second == again
    assert len(set(first)) == len(first)


def test_the_bare_tree_is_the_default_dataset(fresh_sim):
    where = ("spot", "daily", "trades", "BTCUSDT", "2024-01-15")
    bare = get_zip(fresh_sim("bare"), url(*where, dataset=""))
    assert bare == get_zip(fresh_sim("named"), url(*where, dataset="trades_per_day=20000,seed=7"))
    assert bare != get_zip(fresh_sim("other"), url(*where, dataset="seed=8"))


def test_a_day_has_the_trades_that_it_has_always_had(sim):
    """Pinned: artifacts made from this dataset name these numbers. A new generator needs a new default seed."""
    text = get_text(sim, "spot", "daily", "trades", "BTCUSDT", "2024-01-15", dataset="seed=7")
    assert text.splitlines()[0] == "46837281,99938.01000000,0.01690000,1688.95236900,1705276866223,True,True"
    assert text.count("\n") == 18631
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "e53b343c8692a19a98ec12e47fd1e8c6581a2f8c25a82eb1a32c0c61cd5b2239"
    )


def test_ten_requests_at_once_make_one_archive(fresh_sim):
    client = fresh_sim()
    address = url("spot", "monthly", "trades", "BTCUSDT", "2024-01")
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: client.get(address).content, range(10)))
    assert len(set(answers)) == 1
    assert client.app.state.exchange.store.n_made == 1


def test_a_damaged_cache_is_made_anew(fresh_sim, tmp_path):
    client = fresh_sim()
    address = url("spot", "daily", "trades", "BTCUSDT", "2024-01-15")
    whole = get_zip(client, address)
    (stored,) = (tmp_path / "sim").rglob("BTCUSDT-trades-2024-01-15.zip")
    stored.write_bytes(b"")
    assert get_zip(client, address) == whole
    assert client.app.state.exchange.store.n_made == 2
    assert not list((tmp_path / "sim" / "parts").iterdir())


@pytest.mark.parametrize(
    ("where", "options"),
    [
        (("spot", "daily", "trades", "BTCUSDT", "2026-11-20"), {}),  # today
        (("spot", "monthly", "trades", "BTCUSDT", "2026-11"), {}),  # a month that is not over
        (("spot", "monthly", "klines", "BTCUSDT", "2026-12"), {"interval": "1h"}),
        (("spot", "daily", "trades", "BTCUSDT", "2017-08-16"), {}),  # the day before the listing
        (("spot", "monthly", "trades", "SOLUSDT", "2020-07"), {}),
        (("um", "daily", "trades", "BTCUSDT", "2019-09-07"), {}),
        (("um", "daily", "trades", "币安人生USDT", "2026-01-01"), {}),  # spot only
        (("spot", "daily", "trades", "NOSUCHUSDT", "2024-01-01"), {}),
        (("spot", "daily", "trades", "BTCUSDT", "2024-02-30"), {}),
        (("spot", "daily", "klines", "BTCUSDT", "2024-01-01"), {"interval": "3d"}),  # monthly files only
        (("spot", "daily", "klines", "BTCUSDT", "2024-01-01"), {"interval": "7m"}),
        (("um", "daily", "klines", "BTCUSDT", "2024-01-01"), {"interval": "1s"}),
        (("spot", "monthly", "trades", "BTCUSDT", "2024-01-01"), {}),  # a day's name in the months' folder
        (("spot", "daily", "bookTicker", "BTCUSDT", "2024-01-01"), {}),
    ],
)
def test_what_does_not_exist_is_404_with_its_checksum(sim, where, options):
    for suffix in ("", ".CHECKSUM"):
        answer = sim.get(url(*where, **options) + suffix)
        assert answer.status_code == 404
        assert "NoSuchKey" in answer.text


def test_yesterday_and_the_last_whole_month_are_published(sim):
    assert sim.head(url("spot", "daily", "trades", "BTCUSDT", "2026-11-19")).status_code == 200
    assert sim.head(url("spot", "monthly", "klines", "BTCUSDT", "2026-10", interval="1d")).status_code == 200


def test_a_month_of_weeks_is_published_when_its_last_week_has_closed(fresh_sim):
    address = url("spot", "monthly", "klines", "BTCUSDT", "2026-09", interval="1w")  # last Monday: the 28th
    assert fresh_sim("a", today=date(2026, 10, 4)).head(address).status_code == 404
    assert fresh_sim("b", today=date(2026, 10, 5)).head(address).status_code == 200


def test_names_need_not_be_ascii(sim):
    assert get_rows(sim, "spot", "daily", "trades", "币安人生USDT", "2026-01-01")


def test_a_range_is_served_and_head_tells_the_size(sim):
    address = url("spot", "daily", "trades", "BTCUSDT", "2024-03-05")
    whole = get_zip(sim, address)
    head = sim.head(address)
    assert (head.status_code, head.content, int(head.headers["content-length"])) == (200, b"", len(whole))
    part = sim.get(address, headers={"Range": "bytes=100-199", "If-Range": head.headers["etag"]})
    assert (part.status_code, part.content) == (206, whole[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert sim.get(address, headers={"Range": "bytes=100-", "If-Range": '"other"'}).content == whole
    assert sim.get(address, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416


def test_headers_are_as_lasting_as_bytes(fresh_sim):
    address = url("spot", "daily", "trades", "BTCUSDT", "2024-03-05")
    one, other = fresh_sim("one").head(address).headers, fresh_sim("other").head(address).headers
    assert dict(one) == dict(other)
    assert one["last-modified"] == "Wed, 06 Mar 2024 00:00:00 GMT"


def test_a_month_of_weekly_bars_is_one_row_a_monday(sim):
    rows = get_rows(sim, "spot", "monthly", "klines", "BTCUSDT", "2024-04", interval="1w")
    opens = [datetime.fromtimestamp(int(row[0]) / 1000, UTC) for row in rows]
    assert [(when.day, when.weekday(), when.hour) for when in opens] == [(d, 0, 0) for d in (1, 8, 15, 22, 29)]


def test_large_days_are_written_in_pieces_without_a_seam(sim, monkeypatch):
    whole = get_text(sim, "spot", "daily", "trades", "BTCUSDT", "2024-03-05")
    monkeypatch.setattr(archives, "_CHUNK_ROWS", 7)
    archive = names.parse_archive_path("spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-03-05.zip")
    chunks = list(archives.csv_chunks(dataset.parse_dataset(SMALL), archive))
    assert len(chunks) > 40
    assert b"".join(chunks).decode() == whole


def test_a_listing_month_begins_with_the_listing_day(sim):
    rows = get_rows(sim, "spot", "monthly", "klines", "BTCUSDT", "2017-08", interval="1d")
    assert len(rows) == 15
    assert datetime.fromtimestamp(int(rows[0][0]) / 1000, UTC).date().isoformat() == "2017-08-17"
    assert len(get_rows(sim, "spot", "monthly", "klines", "BTCUSDT", "2017-08", interval="1mo")) == 1
