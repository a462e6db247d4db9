"""Symbols are looked for at the venue before a download begins."""

import httpx
import pytest
import respx

from tests.api_gateway.requests import DOWNLOAD, rows
from tickloom.settings import settings


def test_an_unknown_symbol_is_refused_when_the_venue_says_so(gateway):
    with respx.mock(assert_all_called=False) as exchange:
        api = f"{settings().sim()}/api/v3/exchangeInfo"
        exchange.get(api, params={"symbol": "NOSUCH"}).respond(400, json={"code": -1121, "msg": "Invalid symbol."})
        answer = gateway.post("/submit_download", json=DOWNLOAD | {"symbols": ["NOSUCH"]})
    assert answer.status_code == 422
    assert "NOSUCH" in answer.json()["detail"]
    assert "check_symbols=false" in answer.json()["next"]
    assert rows() == 0


@pytest.mark.parametrize(("market", "symbol"), [("coinm", "BTCUSD_PERP"), ("usdm", "BTCUSDT")])
def test_symbols_of_futures_are_not_looked_for_among_those_of_the_spot_market(gateway, market, symbol):
    with respx.mock as exchange:  # whatever is asked for fails the test
        answer = gateway.post("/submit_download", json=DOWNLOAD | {"symbols": [symbol], "market": market})
    assert answer.status_code == 202, answer.text
    assert not exchange.calls


def test_many_symbols_are_one_question_and_each_is_one_only_when_that_is_refused(gateway):
    api = f"{settings().sim()}/api/v3/exchangeInfo"
    three = DOWNLOAD | {"symbols": ["BTCUSDT", "币安人生USDT", "NOSUCH"]}
    with respx.mock as exchange:
        asked = exchange.get(api).mock(
            side_effect=[httpx.Response(400, json={"code": -1121}), *[httpx.Response(200, json={})] * 3]
        )
        assert gateway.post("/submit_download", json=three).status_code == 202
        assert [len(call.request.url.params) for call in asked.calls] == [1] * 4
        assert asked.calls[0].request.url.params["symbols"].startswith('["BTCUSDT",')
        assert [call.request.url.params["symbol"] for call in asked.calls[1:]] == three["symbols"]
        assert gateway.post("/submit_download", json=three | {"start_date": "2022-02"}).status_code == 202
        assert asked.call_count == 4  # they are known now


@pytest.mark.parametrize("status", [418, 429])
def test_t04_a_venue_that_asks_for_a_pause_is_not_asked_again_and_stops_no_submission(gateway, status):
    with respx.mock as exchange:
        asked = exchange.get(url__startswith=settings().sim()).respond(status, headers={"Retry-After": "60"})
        for month in ("2022-01", "2022-02"):
            assert gateway.post("/submit_download", json=DOWNLOAD | {"start_date": month}).status_code == 202
        assert asked.call_count == 1


def test_a_venue_that_does_not_answer_stops_no_submission(gateway):
    with respx.mock as exchange:
        exchange.get(url__startswith=settings().sim()).mock(side_effect=httpx.ConnectError("down"))
        assert gateway.post("/submit_download", json=DOWNLOAD).status_code == 202
