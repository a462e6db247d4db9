"""REST keeps the exchange's rules on parameters, limits and errors."""

from itertools import pairwise

import pytest

from tests.exchange_sim.conftest import SMALL
from tests.exchange_sim.reading import get_text

API = f"/datasets/{SMALL}/api/v3"
MIDNIGHT = 1_709_596_800_000  # 2024-03-05
DAY = 86_400_000
END = 1_795_132_800_000  # 2026-11-20, the day that the simulator believes it is


def klines(sim, **params):
    return sim.get(f"{API}/klines", params={"symbol": "BTCUSDT", "interval": "1h"} | params).json()


def aggs(sim, **params):
    return sim.get(f"{API}/aggTrades", params={"symbol": "BTCUSDT"} | params).json()


def test_klines_come_five_hundred_at_a_time_and_never_more_than_a_thousand(sim):
    assert len(klines(sim)) == 500
    assert len(klines(sim, limit=3)) == 3
    assert len(klines(sim, limit=1000)) == len(klines(sim, limit=5000)) == 1000


def test_without_times_the_newest_complete_bars_come_oldest_first(sim):
    rows = klines(sim, limit=3)
    assert [row[0] for row in rows] == [END - 3 * 3_600_000, END - 2 * 3_600_000, END - 3_600_000]
    assert klines(sim, limit=1, interval="1w")[0][6] < END
    assert klines(sim, limit=1, interval="1M")[0][6] == 1_793_491_199_999  # October


def test_kline_times_are_inclusive_opening_times(sim):
    rows = klines(sim, startTime=MIDNIGHT, endTime=MIDNIGHT + 3_600_000)
    assert [row[0] for row in rows] == [MIDNIGHT, MIDNIGHT + 3_600_000]
    assert klines(sim, startTime=MIDNIGHT + 1, endTime=MIDNIGHT + 3_600_000) == rows[1:]
    assert klines(sim, startTime=MIDNIGHT, endTime=MIDNIGHT + 3_599_999) == rows[:1]
    assert [row[0] for row in klines(sim, endTime=MIDNIGHT, limit=2)] == [MIDNIGHT - 3_600_000, MIDNIGHT]
    assert klines(sim, startTime=MIDNIGHT * 1000, endTime=(MIDNIGHT + 3_600_000) * 1000) == rows
    assert len(klines(sim, startTime=MIDNIGHT, limit=7)) == 7


def test_klines_outside_history_are_none(sim):
    assert klines(sim, startTime=END) == []
    assert klines(sim, startTime=MIDNIGHT, endTime=MIDNIGHT - 1) == []
    assert klines(sim, endTime=1_400_000_000_000) == []
    assert klines(sim, startTime=0, limit=1)[0][0] // DAY * DAY == 1_502_928_000_000  # 2017-08-17
    assert klines(sim, startTime=0, limit=1, interval="1M")[0][0] == 1_501_545_600_000


def test_a_kline_is_twelve_values_in_the_exchanges_types(sim):
    (row,) = klines(sim, startTime=MIDNIGHT, limit=1)
    assert [type(value) for value in row] == [int, str, str, str, str, str, int, str, int, str, str, str]
    assert row[11] == "0"
    assert all(len(row[column].partition(".")[2]) == 8 for column in (1, 2, 3, 4, 5, 7, 9, 10))


def test_seconds_over_years_are_answered_at_once(sim):
    assert [row[0] for row in klines(sim, interval="1s", startTime=MIDNIGHT, endTime=END, limit=2)] == [
        MIDNIGHT,
        MIDNIGHT + 1000,
    ]


def test_the_unit_of_answers_is_chosen_by_a_header(sim):
    address, params = f"{API}/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1, "startTime": MIDNIGHT}
    row = sim.get(address, params=params, headers={"X-MBX-TIME-UNIT": "MICROSECOND"}).json()[0]
    assert (row[0], row[6]) == (MIDNIGHT * 1000, MIDNIGHT * 1000 + 59_999_999)


def test_aggregate_trades_are_paged_by_id(sim):
    first = aggs(sim, startTime=MIDNIGHT, limit=1)[0]["a"]
    pages, after = [], first
    for _ in range(3):
        page = aggs(sim, fromId=after, limit=400)
        assert len(page) == 400
        pages += page
        after = page[-1]["a"] + 1
    assert [row["a"] for row in pages] == list(range(first, first + 1200))
    assert all(a["l"] + 1 == b["f"] and a["T"] <= b["T"] for a, b in pairwise(pages))
    assert len(aggs(sim)) == 500
    assert len(aggs(sim, limit=9999)) == 1000


def test_aggregate_trades_of_a_time_are_inclusive(sim):
    rows = aggs(sim, startTime=MIDNIGHT, endTime=MIDNIGHT + DAY - 1, limit=1000)
    assert MIDNIGHT <= rows[0]["T"] <= rows[-1]["T"] < MIDNIGHT + DAY
    third, last = rows[2]["T"], rows[-1]["T"]
    inside = [row for row in rows if third <= row["T"] <= last]
    assert aggs(sim, startTime=third, endTime=last, limit=1000) == inside
    assert aggs(sim, startTime=third, endTime=last, limit=5) == inside[:5]
    assert aggs(sim, endTime=last, limit=5) == rows[-5:]
    assert set(rows[0]) == set("apqflTmM")


def test_aggregate_trades_outside_history(sim):
    newest = aggs(sim, limit=2)
    assert newest[-1]["T"] < END
    assert aggs(sim, fromId=newest[-1]["a"] + 1) == []
    assert aggs(sim, startTime=END) == []
    assert aggs(sim, endTime=1_400_000_000_000) == []
    assert aggs(sim, fromId=0, limit=1)[0]["a"] == 0
    assert aggs(sim, startTime=0, limit=1)[0]["a"] == 0


@pytest.mark.parametrize(
    ("endpoint", "params", "code"),
    [
        ("klines", {"interval": "1h"}, -1102),
        ("klines", {"symbol": "", "interval": "1h"}, -1102),
        ("klines", {"symbol": "BTCUSDT"}, -1102),
        ("klines", {"symbol": "NOSUCH", "interval": "1h"}, -1121),
        ("klines", {"symbol": "btcusdt", "interval": "1h"}, -1100),
        ("klines", {"symbol": "../BTC", "interval": "1h"}, -1100),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ("klines", {"symbol": "BTCUSDT", "interval": "1mo"}, -1120),
        ("klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": "-1"}, -1100),
        ("klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": "0"}, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1h", "startTime": "9" * 20}, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1h", "startTime": "9" * 21}, -1100),
        ("klines", {"symbol": "BTCUSDT", "interval": "1h", "timeZone": "15"}, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1h", "colour": "red"}, -1104),
        ("aggTrades", {"symbol": "BTCUSDT", "fromId": 5, "startTime": 5}, -1128),
        ("aggTrades", {"symbol": "BTCUSDT", "fromId": "x"}, -1100),
        ("exchangeInfo", {"symbol": "NOSUCH"}, -1121),
        ("exchangeInfo", {"symbol": "BTCUSDT", "symbols": '["BTCUSDT"]'}, -1128),
        ("exchangeInfo", {"symbols": "BTCUSDT"}, -1100),
        ("exchangeInfo", {"symbols": '["BTCUSDT","NOSUCH"]'}, -1121),
    ],
)
def test_a_request_against_the_rules_gets_the_exchanges_error(sim, endpoint, params, code):
    answer = sim.get(f"{API}/{endpoint}", params=params)
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert answer.json()["msg"]


def test_an_invalid_symbol_is_answered_word_for_word(sim):
    assert sim.get("/api/v3/exchangeInfo?symbol=NOPE").json() == {"code": -1121, "msg": "Invalid symbol."}


@pytest.mark.parametrize("value", [2**63 - 1, 9 * 10**15, 10**14, 10**14 - 1])
@pytest.mark.parametrize("name", ["startTime", "endTime"])
@pytest.mark.parametrize("endpoint", ["klines", "aggTrades"])
def test_times_of_any_size_are_answered(sim, name, value, endpoint):
    params = {"symbol": "BTCUSDT", name: value, "limit": 1} | ({"interval": "1M"} if endpoint == "klines" else {})
    assert sim.get(f"{API}/{endpoint}", params=params).status_code == 200


def test_exchange_info_lists_symbols_with_their_steps(sim):
    every = sim.get("/api/v3/exchangeInfo").json()["symbols"]
    assert {"BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT"} <= {symbol["symbol"] for symbol in every}
    some = sim.get("/api/v3/exchangeInfo", params={"symbols": '["ADAUSDT","BTCUSDT"]'}).json()["symbols"]
    assert [symbol["symbol"] for symbol in some] == ["ADAUSDT", "BTCUSDT"]
    (one,) = sim.get("/api/v3/exchangeInfo?symbol=BTCUSDT").json()["symbols"]
    filters = {rule["filterType"]: rule for rule in one["filters"]}
    assert (filters["PRICE_FILTER"]["tickSize"], filters["LOT_SIZE"]["stepSize"]) == ("0.01000000", "0.00001000")
    assert (one["baseAsset"], one["quoteAsset"], one["status"]) == ("BTC", "USDT", "TRADING")


def test_ping_time_and_unknown_endpoints(sim):
    assert sim.get("/api/v3/ping").json() == {}
    assert sim.get("/api/v3/time").json() == {"serverTime": END}
    assert sim.get("/api/v3/depth?symbol=BTCUSDT").status_code == 404
    assert sim.get("/healthz").json() == {"status": "ok"}


def test_old_trades_are_the_rows_of_the_archive(sim):
    lines = get_text(sim, "spot", "daily", "trades", "BTCUSDT", "2024-03-05", dataset=SMALL).splitlines()
    first = int(lines[0].partition(",")[0])
    rows = sim.get(f"{API}/historicalTrades", params={"symbol": "BTCUSDT", "fromId": first, "limit": 300}).json()
    assert [[str(value) for value in row.values()] for row in rows] == [line.split(",") for line in lines[:300]]
    assert list(rows[0]) == ["id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch"]
    newest = sim.get(f"{API}/historicalTrades", params={"symbol": "BTCUSDT"}).json()
    assert len(newest) == 500
    assert newest[-1]["time"] < END
    after = {"symbol": "BTCUSDT", "fromId": newest[-1]["id"] + 1}
    assert sim.get(f"{API}/historicalTrades", params=after).json() == []


def test_futures_have_aggregate_trades_for_everybody_and_old_trades_for_key_holders(sim):
    api = f"/datasets/{SMALL}/fapi/v1"
    lines = get_text(sim, "um", "daily", "aggTrades", "BTCUSDT", "2024-03-05", dataset=SMALL).splitlines()[1:]
    first = int(lines[0].partition(",")[0])
    rows = sim.get(f"{api}/aggTrades", params={"symbol": "BTCUSDT", "fromId": first, "limit": len(lines)}).json()
    assert [(row["a"], row["f"], row["l"], row["T"]) for row in rows] == [
        tuple(map(int, (line.split(",")[column] for column in (0, 3, 4, 5)))) for line in lines[:1000]
    ]
    assert set(rows[0]) == set("apqflTm")
    refused = sim.get(f"{api}/historicalTrades", params={"symbol": "BTCUSDT"})
    assert (refused.status_code, refused.json()["code"]) == (401, -2014)
    assert sim.get(f"{api}/klines").status_code == 404
    assert sim.get(f"{api}/aggTrades", params={"symbol": "币安人生USDT"}).json()["code"] == -1121
