"""T09, T04: what the exchange's REST API says about missing ids, and what is believed of it."""

import json
from dataclasses import replace
from datetime import date, timedelta
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.download import remote
from services.download.adapters.fetch import Fetcher
from services.download.adapters.mend import mend
from services.download.adapters.rest import Question, ask
from services.download.domain import history
from services.download.domain.corrections import Gap, Span
from services.download.domain.errors import BadAnswer, ExchangeBanned
from services.download.domain.history import endpoint_of, read_page
from tests.naive import download as naive
from tests.services.download.runs import PATIENCE
from tests.services.download.sources import DAY, T0, own_lake, read
from tickloom.limiter import Limiter

URL = "https://exchange.test"
AGGREGATES = endpoint_of("spot", "aggTrades")
CONTRADICTION = "REST and the archive contradict each other (ids that both have and that differ: 1)"


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return own_lake(tmp_path_factory.mktemp("lake"))


def row(i, ts=None, **changes):
    return {
        "a": i,
        "p": "100.5",
        "q": f"{i + 1}",
        "f": i,
        "l": i,
        "T": ts or T0 + i,
        "m": i % 2 == 0,
        "M": True,
    } | changes


def line(one):
    return ",".join(str(value) for value in one.values()) + "\n"


def stored(lake, rows, first=DAY, last=DAY):
    return read(lake, "".join(line(one) for one in rows), "aggTrades", first=first, last=last)


class History:
    """In place of a Fetcher: an exchange that knows these trades, `limit` at a time."""

    def __init__(self, rows, limit=1000):
        self.rows, self.limit, self.asked = sorted(rows, key=lambda one: one["a"]), limit, []

    def read(self, url, *, at_most, weight, headers):
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert weight == AGGREGATES.weight
        assert query["symbol"] == "BTCUSDT"
        self.asked.append((int(query["fromId"]), headers))
        known = [one for one in self.rows if one["a"] >= int(query["fromId"])]
        return json.dumps(known[: min(self.limit, int(query["limit"]))]).encode()


def question(part, holes, market="spot"):
    known = {date.fromisoformat(entry.facts["day"]): entry for entry in part.files if "day" in entry.facts}
    first, last = min(known), max(known)
    gaps = [Gap("BTCUSDT", first, after, before, first, last) for after, before in holes]
    return Question(URL, market, "aggTrades", Span(tuple(gaps)), known)


def answer(lake, part, holes, exchange):
    with lake.scratch() as scratch:
        return ask(lake, scratch, exchange, question(part, holes))


def test_missing_ids_come_page_by_page_and_only_what_is_missing_is_a_partition(lake, monkeypatch):
    rows = [row(i) for i in range(30)]
    part = stored(lake, rows[:5] + rows[25:])
    monkeypatch.setitem(history._ENDPOINTS, ("spot", "aggTrades"), replace(AGGREGATES, limit=8))
    exchange = History(rows)
    found = answer(lake, part, [(4, 25)], exchange)
    assert [at for at, _ in exchange.asked] == [4, 12, 20]
    assert found.facts == {"filled": [20], "why": "", "requests": 3}
    assert found.files[0].rows == 22  # the ids on both sides are in the answer too


@settings(max_examples=30)
@given(there=st.sets(st.integers(1, 28)), unknown=st.sets(st.integers(1, 28)), limit=st.integers(2, 9))
def test_a_mended_day_has_every_id_that_anybody_knows(lake, there, unknown, limit):
    rows, known = [row(i) for i in range(30)], {0, 29} | there
    holes = naive.holes(known)
    if not holes:
        return
    every = [one for one in rows if one["a"] in known or one["a"] not in unknown]
    part = stored(lake, [one for one in rows if one["a"] in known])
    with patch.dict(history._ENDPOINTS, {("spot", "aggTrades"): replace(AGGREGATES, limit=limit)}):
        found = answer(lake, part, holes, History(every))
    assert found.facts["filled"] == [len(set(range(a + 1, b)) - unknown) for a, b in holes]
    assert found.facts["requests"] <= question(part, holes).span.requests(limit)
    if found.files:
        day = mend(lake, DAY, ("spot", "aggTrades"), part.files[0], found.files)
        assert day.files[0] == stored(lake, every).files[0]


def test_a_history_that_is_cut_off_says_nothing_about_what_there_was(lake):
    part = stored(lake, [row(1), row(2), row(9)])
    found = answer(lake, part, [(2, 9)], History([row(i) for i in range(5, 12)]))
    assert (found.files, found.facts["filled"]) == ((), [0])
    assert found.facts["why"] == "the history that REST keeps begins at id 5, after the id 2 that the archive has"
    found = answer(lake, part, [(2, 9)], History([]))
    assert found.facts["why"] == "the history that REST keeps ends, after the id 2 that the archive has"
    found = answer(lake, part, [(2, 9)], History([row(i) for i in range(6)]))
    assert found.facts["why"] == "the answers of REST end at id 5, before the id 9 that the archive has"


@pytest.mark.parametrize("change", [{"p": "100.6"}, {"q": "7"}, {"m": True}, {"T": T0 + 5}, {"l": 9}])
@pytest.mark.parametrize("at", [1, 3])
def test_rows_beside_the_gap_that_rest_contradicts_are_a_reason_to_take_nothing(lake, change, at):
    part = stored(lake, [row(0), row(1), row(3)])
    rows = [row(i, **(change if i == at else {})) for i in range(5)]
    found = answer(lake, part, [(1, 3)], History(rows))
    assert (found.files, found.facts["why"]) == ((), CONTRADICTION)


def test_a_void_row_is_an_id_that_the_exchange_does_not_know(lake):
    part = stored(lake, [row(0), row(4)])
    void = {"p": "0.00000000", "q": "0.00000000", "f": -1, "l": -1}
    found = answer(lake, part, [(0, 4)], History([row(0), row(1), row(2, **void), row(3), row(4)]))
    assert found.facts["filled"] == [2]


def test_a_gap_over_a_day_without_an_archive_makes_that_day(lake):
    a_day = 86_400_000
    before, after = stored(lake, [row(0), row(1)]), stored(lake, [row(5, T0 + 2 * a_day)], last=DAY + timedelta(2))
    part = before.model_copy(update={"files": before.files[:1] + after.files[:1]})
    between = [row(2), row(3, T0 + a_day), row(4, T0 + a_day + 1)]
    found = answer(lake, part, [(1, 5)], History([row(0), row(1), *between, row(5, T0 + 2 * a_day)]))
    assert [(entry.facts["day"], entry.rows) for entry in found.files] == [("2024-01-05", 2), ("2024-01-06", 2)]


def test_from_2025_on_spot_is_asked_for_microseconds(lake):
    exchange = History([row(i) for i in range(4)])
    answer(lake, stored(lake, [row(0), row(3)]), [(0, 3)], exchange)
    assert exchange.asked == [(0, {})]
    day, t0 = date(2025, 1, 5), 1_736_035_200_000_000
    rows = [row(i, t0 + i) for i in range(4)]
    exchange = History(rows)
    found = answer(lake, stored(lake, [rows[0], rows[3]], day, day), [(0, 3)], exchange)
    assert exchange.asked == [(0, {"X-MBX-TIME-UNIT": "MICROSECOND"})]
    assert found.facts["filled"] == [2]


BAD = [
    b"<html>",
    b"{}",
    b"[1]",
    b"[[]]",
    b"[" * 100_000,
    json.dumps([row(5), row(5)]).encode(),
    json.dumps([row(6), row(5)]).encode(),
    json.dumps([row(4)]).encode(),
    json.dumps([row(5, p=None)]).encode(),
    json.dumps([row(5, p="1,2")]).encode(),
    json.dumps([row(5, p="1\n2")]).encode(),
    json.dumps([row(5, p=[1])]).encode(),
    json.dumps([row(5, a="5")]).encode(),
    json.dumps([row(5, a=True)]).encode(),
    json.dumps([row(i) for i in range(5, 1006)]).encode(),
]


@pytest.mark.parametrize("body", BAD)
def test_an_answer_that_is_not_trades_is_a_named_error(body):
    with pytest.raises(BadAnswer) as failed:
        read_page(URL, body, AGGREGATES, 5)
    assert "repair_requests: 0" in failed.value.problem()["next"]


def test_numbers_of_an_answer_never_pass_through_a_float():
    body = b'[{"a":5,"p":0.1000000000000000055,"q":1.912e-05,"f":1,"l":2,"T":1704412800000,"m":false,"M":true}]'
    assert read_page(URL, body, AGGREGATES, 5).lines == [
        b"5,0.1000000000000000055,1.912e-05,1,2,1704412800000,false,true\n"
    ]


@pytest.fixture
def exchange(tmp_path):
    return remote.Exchange(URL, tmp_path / "notes", False, PATIENCE, Limiter("", {"exchange.test": 60_000}))


def test_an_answer_is_kept_and_not_asked_for_again(lake, exchange, respx_mock):
    asked = respx_mock.get(URL + AGGREGATES.path).respond(json=[row(i) for i in range(4)])
    what = question(stored(lake, [row(0), row(3)]), [(0, 3)])
    first, second = (remote.ask_history(lake, exchange, what, "a" * 64) for _ in range(2))
    assert first == second
    assert asked.call_count == 1
    assert asked.calls[0].request.url.params["limit"] == "1000"


@pytest.mark.parametrize("status", [400, 403, 404, 451])
def test_a_refusal_is_a_reason_and_is_not_kept(lake, exchange, respx_mock, status):
    asked = respx_mock.get(URL + AGGREGATES.path).respond(status)
    what = question(stored(lake, [row(0), row(3)]), [(0, 3)])
    for _ in range(2):
        part = remote.ask_history(lake, exchange, what, f"{status:064}")
        assert part.facts == {"filled": [0], "why": f"REST refused with HTTP status {status}", "requests": 0}
    assert asked.call_count == 2


def test_t04_a_429_is_waited_for_and_a_418_ends_it(lake, exchange, respx_mock):
    page = httpx.Response(200, json=[row(i) for i in range(4)])
    waited = httpx.Response(429, headers={"Retry-After": "0"})
    respx_mock.get(URL + AGGREGATES.path).mock(side_effect=[waited, page])
    what = question(stored(lake, [row(0), row(3)]), [(0, 3)])
    assert remote.ask_history(lake, exchange, what, "b" * 64).facts["filled"] == [2]
    respx_mock.get(URL + AGGREGATES.path).respond(418, headers={"Retry-After": "120"})
    with pytest.raises(ExchangeBanned):
        remote.ask_history(lake, exchange, what, "c" * 64)


def test_every_request_takes_its_weight_from_the_limiter(lake, tmp_path, respx_mock):
    limiter = Limiter("", {"exchange.test": 60})
    respx_mock.get(URL + AGGREGATES.path).respond(json=[row(i) for i in range(4)])
    with lake.scratch() as scratch, httpx.Client() as client:
        ask(lake, scratch, Fetcher(client, limiter, PATIENCE), question(stored(lake, [row(0), row(3)]), [(0, 3)]))
    assert limiter.standing("exchange.test").wait_s > AGGREGATES.weight - 3  # at one a second, two of them at once
