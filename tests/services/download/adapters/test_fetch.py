"""The exchange over HTTP: T01 to T05, T11, T12, with respx in its place."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import httpx
import pytest

from services.download.adapters import fetch
from services.download.adapters.fetch import Fetcher, Patience
from services.download.domain.errors import (
    ChecksumMismatch,
    ChecksumUnusable,
    ExchangeBanned,
    ExchangeFailed,
    ExchangeRefused,
    ExchangeUnreachable,
    RateLimited,
    RedirectRefused,
    TooLarge,
)
from tests.services.download.adapters.exchange import DATA, NAME, URL, fetched
from tests.services.download.sources import checksum
from tickloom.limiter import Limiter


def test_an_archive_that_matches_its_checksum_is_stored(fetcher, respx_mock, right_checksum, tmp_path):
    respx_mock.get(URL).respond(content=DATA)
    got = fetched(fetcher, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert (got.computed_sha256, got.bytes) == (sha256(DATA).hexdigest(), len(DATA))


@pytest.mark.parametrize("failures", [1, 5])
@pytest.mark.parametrize("failure", [500, 502, 503, httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("reset")])
def test_t02_up_to_five_failures_are_tried_again_with_growing_pauses(
    fetcher, respx_mock, right_checksum, tmp_path, pauses, failure, failures
):
    bad = httpx.Response(failure) if isinstance(failure, int) else failure
    respx_mock.get(URL).mock(side_effect=[bad] * failures + [httpx.Response(200, content=DATA)])
    assert fetched(fetcher, tmp_path) is not None
    assert len(pauses) == failures
    for n, pause in enumerate(pauses):
        assert 2**n * 0.5 <= pause <= 2**n


def test_t02_a_server_that_keeps_failing_is_given_up_by_name(fetcher, respx_mock, right_checksum, tmp_path):
    archive = respx_mock.get(URL).respond(503)
    with pytest.raises(ExchangeFailed, match="6 times, the last time with: HTTP status 503") as failed:
        fetched(fetcher, tmp_path)
    assert archive.call_count == 6
    assert failed.value.problem()["retryable"]


def test_an_exchange_that_cannot_be_reached_names_the_way_out(fetcher, respx_mock, tmp_path):
    asked = respx_mock.get(URL + ".CHECKSUM").mock(side_effect=httpx.ConnectError("no route"))
    with pytest.raises(ExchangeUnreachable, match=r"cannot be reached .*make up VENUE=sim"):
        fetched(fetcher, tmp_path)
    assert asked.call_count == 3


def test_t03_an_archive_that_is_not_there_is_none(fetcher, respx_mock, tmp_path):
    respx_mock.get(URL + ".CHECKSUM").respond(404)
    respx_mock.get(URL).respond(404)
    assert fetched(fetcher, tmp_path) is None


def test_t04_a_429_is_waited_out_as_long_as_it_asks(fetcher, respx_mock, right_checksum, tmp_path, pauses):
    limited = httpx.Response(429, headers={"Retry-After": "7"})
    respx_mock.get(URL).mock(side_effect=[limited, limited, httpx.Response(200, content=DATA)])
    assert fetched(fetcher, tmp_path) is not None
    assert pauses == pytest.approx([7.0, 7.0], abs=1e-3)


def test_t04_retry_after_may_be_a_date(fetcher, respx_mock, right_checksum, tmp_path, pauses):
    when = (datetime.now(UTC) + timedelta(seconds=20)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    limited = httpx.Response(429, headers={"Retry-After": when})
    respx_mock.get(URL).mock(side_effect=[limited, httpx.Response(200, content=DATA)])
    fetched(fetcher, tmp_path)
    assert 15 < pauses[0] <= 20


@pytest.mark.parametrize("text", ["soon", "-5", "1e9", "99999999999999999999", ""])
def test_t04_a_retry_after_that_makes_no_sense_is_an_ordinary_pause(
    fetcher, respx_mock, right_checksum, tmp_path, pauses, text
):
    limited = httpx.Response(429, headers={"Retry-After": text})
    respx_mock.get(URL).mock(side_effect=[limited, httpx.Response(200, content=DATA)])
    fetched(fetcher, tmp_path)
    assert 0.5 <= pauses[0] <= 1.0


def test_t04_a_pause_beyond_bounds_is_an_error_that_says_how_long(fetcher, respx_mock, right_checksum, tmp_path):
    respx_mock.get(URL).respond(429, headers={"Retry-After": "3600"})
    with pytest.raises(RateLimited, match=r"until 20..-..-.. ..:..:.. UTC"):
        fetched(fetcher, tmp_path)


@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_beyond_bounds_is_no_reason_to_wait(fetcher, respx_mock, right_checksum, tmp_path, status, pauses):
    asked = respx_mock.get(URL).respond(status, headers={"Retry-After": "3600"})
    with pytest.raises(RateLimited):
        fetched(fetcher, tmp_path)
    assert (asked.call_count, pauses) == (1, [])


def test_t04_a_429_to_one_keeps_the_others_waiting_too(fetcher, limiter, respx_mock, right_checksum, tmp_path, pauses):
    """The second fetcher has asked for nothing yet; it waits before its first request."""
    limiter.pause("exchange.test", 9)
    respx_mock.get(URL).respond(content=DATA)
    fetched(fetcher, tmp_path)
    assert pauses == pytest.approx([9.0, 0.001], abs=1e-3)


def test_a_pause_that_begins_while_one_waits_for_ones_turn_is_kept_too(respx_mock, clock, monkeypatch):
    limiter = Limiter("", {"exchange.test": 60}, clock)
    asked = respx_mock.get("https://exchange.test/x").respond(text="body")
    for _ in range(4):
        limiter.reserve("exchange.test")

    def sleep(seconds):
        clock.sleep(seconds)
        if len(clock.slept) == 1:
            limiter.pause("exchange.test", 30)

    monkeypatch.setattr(fetch.time, "sleep", sleep)
    assert Fetcher(httpx.Client(), limiter).read("https://exchange.test/x", at_most=9) == b"body"
    assert clock.slept == pytest.approx([2.0, 30.0], abs=1e-3)
    assert asked.call_count == 1


def test_a_rest_call_pays_its_weight_and_is_cut_off_at_its_limit(respx_mock, clock):
    limiter = Limiter("", {"exchange.test": 60}, clock)
    fetcher = Fetcher(httpx.Client(), limiter)
    respx_mock.get("https://exchange.test/x").respond(text="body")
    assert fetcher.read("https://exchange.test/x", weight=25, at_most=4, headers={"X-A": "b"}) == b"body"
    assert respx_mock.calls.last.request.headers["x-a"] == "b"
    assert limiter.standing("exchange.test").wait_s == pytest.approx(23, abs=1e-3)
    with pytest.raises(TooLarge, match="3 bytes"):
        fetcher.read("https://exchange.test/x", at_most=3)
    respx_mock.get("https://exchange.test/none").respond(404)
    assert fetcher.read("https://exchange.test/none", at_most=3) is None


@pytest.mark.parametrize(("used", "rests"), [("59", False), ("60", True), ("", False), ("1e9", False)])
def test_what_the_exchange_counts_against_our_address_is_heeded(respx_mock, clock, used, rests):
    limiter = Limiter("", {"exchange.test": 60}, clock)
    respx_mock.get("https://exchange.test/x").respond(text="body", headers={"X-MBX-USED-WEIGHT-1M": used})
    assert Fetcher(httpx.Client(), limiter).read("https://exchange.test/x", at_most=9) == b"body"
    assert (limiter.standing("exchange.test").pause is not None) == rests


def test_t04_after_a_418_nothing_is_asked_of_the_host_until_the_ban_is_over(
    fetcher, limiter, clock, respx_mock, tmp_path
):
    asked = respx_mock.get(URL + ".CHECKSUM").respond(418, headers={"Retry-After": "900"})
    with pytest.raises(ExchangeBanned, match=r"until 20..-..-.. ..:..:.. UTC"):
        fetched(fetcher, tmp_path)
    another = Fetcher(httpx.Client(), limiter, Patience())
    with pytest.raises(ExchangeBanned) as banned:
        fetched(another, tmp_path)
    assert asked.call_count == 1
    assert not banned.value.problem()["retryable"]
    clock.now += 901
    respx_mock.get(URL).respond(404)
    respx_mock.get(URL + ".CHECKSUM").respond(404)
    assert fetched(another, tmp_path) is None


def test_t05_a_wrong_checksum_is_tried_once_more_and_then_named(fetcher, respx_mock, tmp_path):
    respx_mock.get(URL + ".CHECKSUM").respond(text=checksum(b"other", NAME))
    archive = respx_mock.get(URL).respond(content=DATA)
    with pytest.raises(ChecksumMismatch) as mismatch:
        fetched(fetcher, tmp_path)
    assert archive.call_count == 2
    assert mismatch.value.args == (URL, sha256(b"other").hexdigest(), sha256(DATA).hexdigest())


def test_t11_an_archive_replaced_while_it_is_fetched_is_fetched_again(fetcher, respx_mock, tmp_path):
    new = DATA[::-1]
    respx_mock.get(URL + ".CHECKSUM").mock(
        side_effect=[httpx.Response(200, text=checksum(data, NAME)) for data in (DATA, new)]
    )
    respx_mock.get(URL).respond(content=new)
    assert fetched(fetcher, tmp_path).computed_sha256 == sha256(new).hexdigest()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a SHA-256"),
        ("abc  " + NAME, "is not a SHA-256"),
        ("<html>", "is not a SHA-256"),
        (sha256(DATA).hexdigest(), "is not a SHA-256"),
        (sha256(DATA).hexdigest() + "  ETHUSDT-trades-2024-01-05.zip", "another file"),
    ],
)
def test_t05_a_checksum_that_does_not_speak_of_its_archive_is_refused(fetcher, respx_mock, tmp_path, text, reason):
    respx_mock.get(URL + ".CHECKSUM").respond(text=text)
    with pytest.raises(ChecksumUnusable, match=reason):
        fetched(fetcher, tmp_path)


def test_t05_an_archive_without_a_checksum_is_not_taken(fetcher, respx_mock, tmp_path):
    respx_mock.get(URL + ".CHECKSUM").respond(404)
    respx_mock.get(URL).respond(content=DATA)
    with pytest.raises(ChecksumUnusable, match="is missing"):
        fetched(fetcher, tmp_path)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_checksum_file_may_end_in_a_line_end_or_not(fetcher, respx_mock, tmp_path, ending):
    text = f"{sha256(DATA).hexdigest().upper()}  {NAME}{ending}"
    respx_mock.get(URL + ".CHECKSUM").respond(text=text)
    respx_mock.get(URL).respond(content=DATA)
    assert fetched(fetcher, tmp_path) is not None


@pytest.mark.parametrize("target", ["https://evil.test/a.zip", "http://127.0.0.2/a.zip", "/elsewhere.zip"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_t12_a_redirect_is_refused_and_not_followed(fetcher, respx_mock, right_checksum, tmp_path, target, status):
    respx_mock.get(URL).respond(status, headers={"Location": target})
    with pytest.raises(RedirectRefused, match="configured address alone"):
        fetched(fetcher, tmp_path)


@pytest.mark.parametrize("status", [400, 401, 403, 451])
def test_a_refusal_is_not_repeated(fetcher, respx_mock, right_checksum, tmp_path, status):
    archive = respx_mock.get(URL).respond(status)
    with pytest.raises(ExchangeRefused, match=str(status)):
        fetched(fetcher, tmp_path)
    assert archive.call_count == 1


def test_an_archive_or_checksum_beyond_its_limit_is_cut_off(fetcher, respx_mock, right_checksum, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "MAX_ARCHIVE", 1000)
    respx_mock.get(URL).respond(content=DATA)
    with pytest.raises(TooLarge, match="1,000"):
        fetched(fetcher, tmp_path)
    respx_mock.get(URL + ".CHECKSUM").respond(text="x" * 100_000)
    with pytest.raises(TooLarge, match="4,096"):
        fetched(fetcher, tmp_path)
