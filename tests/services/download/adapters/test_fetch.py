"""The exchange over HTTP: T01 to T05, T11, T12, with respx in its place."""

import json
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import httpx
import pytest

from services.download.adapters import fetch
from services.download.adapters.bans import Bans
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
from tests.services.download.sources import checksum

NAME = "BTCUSDT-trades-2024-01-05.zip"
URL = f"https://exchange.test/data/{NAME}"
DATA = bytes(range(256)) * 400


@pytest.fixture
def pauses(monkeypatch):
    """Every pause that was made, none of them waited for."""
    made: list[float] = []
    monkeypatch.setattr(fetch.time, "sleep", made.append)
    return made


@pytest.fixture
def fetcher(tmp_path, pauses):
    return Fetcher(httpx.Client(), Bans(tmp_path / "bans"), Patience(backoff_s=1.0))


@pytest.fixture
def right_checksum(respx_mock):
    return respx_mock.get(URL + ".CHECKSUM").respond(text=checksum(DATA, NAME))


class Breaking(httpx.SyncByteStream):
    """A body that ends in an error."""

    def __init__(self, data: bytes, error: Exception) -> None:
        self.data, self.error = data, error

    def __iter__(self):
        yield self.data
        raise self.error


def test_an_archive_that_matches_its_checksum_is_stored(fetcher, respx_mock, right_checksum, tmp_path):
    respx_mock.get(URL).respond(content=DATA)
    got = fetcher.fetch(URL, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert (got.computed_sha256, got.bytes) == (sha256(DATA).hexdigest(), len(DATA))


@pytest.mark.parametrize("failures", [1, 5])
@pytest.mark.parametrize("failure", [500, 502, 503, httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("reset")])
def test_t02_up_to_five_failures_are_tried_again_with_growing_pauses(
    fetcher, respx_mock, right_checksum, tmp_path, pauses, failure, failures
):
    bad = httpx.Response(failure) if isinstance(failure, int) else failure
    respx_mock.get(URL).mock(side_effect=[bad] * failures + [httpx.Response(200, content=DATA)])
    assert fetcher.fetch(URL, tmp_path / "a.zip") is not None
    assert len(pauses) == failures
    for n, pause in enumerate(pauses):
        assert 2**n * 0.5 <= pause <= 2**n


def test_t02_a_server_that_keeps_failing_is_given_up_by_name(fetcher, respx_mock, right_checksum, tmp_path):
    archive = respx_mock.get(URL).respond(503)
    with pytest.raises(ExchangeFailed, match="6 times, the last time with: HTTP status 503") as failed:
        fetcher.fetch(URL, tmp_path / "a.zip")
    assert archive.call_count == 6
    assert failed.value.problem()["retryable"]


def test_an_exchange_that_cannot_be_reached_names_the_way_out(fetcher, respx_mock, tmp_path):
    asked = respx_mock.get(URL + ".CHECKSUM").mock(side_effect=httpx.ConnectError("no route"))
    with pytest.raises(ExchangeUnreachable, match=r"cannot be reached .*make up VENUE=sim"):
        fetcher.fetch(URL, tmp_path / "a.zip")
    assert asked.call_count == 3


def test_t03_an_archive_that_is_not_there_is_none(fetcher, respx_mock, tmp_path):
    respx_mock.get(URL + ".CHECKSUM").respond(404)
    respx_mock.get(URL).respond(404)
    assert fetcher.fetch(URL, tmp_path / "a.zip") is None


def test_t04_a_429_is_waited_out_as_long_as_it_asks(fetcher, respx_mock, right_checksum, tmp_path, pauses):
    limited = httpx.Response(429, headers={"Retry-After": "7"})
    respx_mock.get(URL).mock(side_effect=[limited, limited, httpx.Response(200, content=DATA)])
    assert fetcher.fetch(URL, tmp_path / "a.zip") is not None
    assert pauses == [7.0, 7.0]


def test_t04_retry_after_may_be_a_date(fetcher, respx_mock, right_checksum, tmp_path, pauses):
    when = (datetime.now(UTC) + timedelta(seconds=20)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    limited = httpx.Response(429, headers={"Retry-After": when})
    respx_mock.get(URL).mock(side_effect=[limited, httpx.Response(200, content=DATA)])
    fetcher.fetch(URL, tmp_path / "a.zip")
    assert 15 < pauses[0] <= 20


@pytest.mark.parametrize("text", ["soon", "-5", "1e9", "99999999999999999999", ""])
def test_t04_a_retry_after_that_makes_no_sense_is_an_ordinary_pause(
    fetcher, respx_mock, right_checksum, tmp_path, pauses, text
):
    limited = httpx.Response(429, headers={"Retry-After": text})
    respx_mock.get(URL).mock(side_effect=[limited, httpx.Response(200, content=DATA)])
    fetcher.fetch(URL, tmp_path / "a.zip")
    assert 0.5 <= pauses[0] <= 1.0


def test_t04_a_pause_beyond_bounds_is_an_error_that_says_how_long(fetcher, respx_mock, right_checksum, tmp_path):
    respx_mock.get(URL).respond(429, headers={"Retry-After": "3600"})
    with pytest.raises(RateLimited, match="3600 s"):
        fetcher.fetch(URL, tmp_path / "a.zip")


def test_t04_after_a_418_nothing_is_asked_of_the_host_until_the_ban_is_over(fetcher, respx_mock, tmp_path, monkeypatch):
    asked = respx_mock.get(URL + ".CHECKSUM").respond(418, headers={"Retry-After": "900"})
    with pytest.raises(ExchangeBanned, match=r"until 20..-..-.. ..:..:.. UTC"):
        fetcher.fetch(URL, tmp_path / "a.zip")
    another = Fetcher(httpx.Client(), Bans(tmp_path / "bans"), Patience())
    with pytest.raises(ExchangeBanned) as banned:
        another.fetch(URL, tmp_path / "a.zip")
    assert asked.call_count == 1
    assert not banned.value.problem()["retryable"]
    now = time.time()
    monkeypatch.setattr("services.download.adapters.bans.time.time", lambda: now + 901)
    respx_mock.get(URL).respond(404)
    respx_mock.get(URL + ".CHECKSUM").respond(404)
    assert another.fetch(URL, tmp_path / "a.zip") is None


def test_t05_a_wrong_checksum_is_tried_once_more_and_then_named(fetcher, respx_mock, tmp_path):
    respx_mock.get(URL + ".CHECKSUM").respond(text=checksum(b"other", NAME))
    archive = respx_mock.get(URL).respond(content=DATA)
    with pytest.raises(ChecksumMismatch) as mismatch:
        fetcher.fetch(URL, tmp_path / "a.zip")
    assert archive.call_count == 2
    assert mismatch.value.args == (URL, sha256(b"other").hexdigest(), sha256(DATA).hexdigest())


def test_t11_an_archive_replaced_while_it_is_fetched_is_fetched_again(fetcher, respx_mock, tmp_path):
    new = DATA[::-1]
    respx_mock.get(URL + ".CHECKSUM").mock(
        side_effect=[httpx.Response(200, text=checksum(data, NAME)) for data in (DATA, new)]
    )
    respx_mock.get(URL).respond(content=new)
    assert fetcher.fetch(URL, tmp_path / "a.zip").computed_sha256 == sha256(new).hexdigest()


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
        fetcher.fetch(URL, tmp_path / "a.zip")


def test_t05_an_archive_without_a_checksum_is_not_taken(fetcher, respx_mock, tmp_path):
    respx_mock.get(URL + ".CHECKSUM").respond(404)
    respx_mock.get(URL).respond(content=DATA)
    with pytest.raises(ChecksumUnusable, match="is missing"):
        fetcher.fetch(URL, tmp_path / "a.zip")


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_checksum_file_may_end_in_a_line_end_or_not(fetcher, respx_mock, tmp_path, ending):
    text = f"{sha256(DATA).hexdigest().upper()}  {NAME}{ending}"
    respx_mock.get(URL + ".CHECKSUM").respond(text=text)
    respx_mock.get(URL).respond(content=DATA)
    assert fetcher.fetch(URL, tmp_path / "a.zip") is not None


def test_t01_a_broken_download_goes_on_where_it_broke_off(fetcher, respx_mock, right_checksum, tmp_path):
    half = len(DATA) // 2
    asked = []

    def answer(request):
        asked.append((request.headers.get("range"), request.headers.get("if-range")))
        if len(asked) == 1:
            body = Breaking(DATA[:half], httpx.ReadTimeout("stalled"))
            return httpx.Response(200, headers={"ETag": '"v1"'}, stream=body)
        rest = {"Content-Range": f"bytes {half}-{len(DATA) - 1}/{len(DATA)}", "ETag": '"v1"'}
        return httpx.Response(206, headers=rest, content=DATA[half:])

    respx_mock.get(URL).mock(side_effect=answer)
    fetcher.fetch(URL, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert asked == [(None, None), (f"bytes={half}-", '"v1"')]


def test_t11_a_download_whose_file_changed_meanwhile_starts_again(fetcher, respx_mock, right_checksum, tmp_path):
    old = Breaking(b"old bytes", httpx.ReadError("reset"))
    respx_mock.get(URL).mock(
        side_effect=[
            httpx.Response(200, headers={"ETag": '"v1"'}, stream=old),
            httpx.Response(200, headers={"ETag": '"v2"'}, content=DATA),
        ]
    )
    fetcher.fetch(URL, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA


@pytest.mark.parametrize("tag", [{}, {"ETag": 'W/"weak"'}])
def test_t11_halves_of_two_files_without_a_strong_tag_are_found_by_the_checksum(fetcher, respx_mock, tmp_path, tag):
    old, asked = bytes(len(DATA)), []
    respx_mock.get(URL + ".CHECKSUM").respond(text=checksum(DATA, NAME))

    def answer(request):
        asked.append((request.headers.get("range"), request.headers.get("if-range")))
        if len(asked) == 1:
            return httpx.Response(200, headers=tag, stream=Breaking(old[:10], httpx.ReadError("reset")))
        if len(asked) == 2:
            rest = {"Content-Range": f"bytes 10-{len(DATA) - 1}/{len(DATA)}"}
            return httpx.Response(206, headers=rest, content=DATA[10:])
        return httpx.Response(200, content=DATA)

    respx_mock.get(URL).mock(side_effect=answer)
    fetcher.fetch(URL, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert asked == [(None, None), ("bytes=10-", None), (None, None)]


@pytest.mark.parametrize("answer", [416, 206])
def test_a_misunderstood_range_is_followed_by_a_request_for_all(fetcher, respx_mock, right_checksum, tmp_path, answer):
    broken = httpx.Response(200, headers={"ETag": '"v1"'}, stream=Breaking(DATA[:10], httpx.ReadError("reset")))
    wrong = httpx.Response(answer, headers={"Content-Range": "bytes 3-9/10"}, content=b"wrong")
    respx_mock.get(URL).mock(side_effect=[broken, wrong, httpx.Response(200, content=DATA)])
    fetcher.fetch(URL, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA


def test_t01_a_trickle_counts_as_a_stall(respx_mock, right_checksum, tmp_path, pauses, monkeypatch):
    clock = iter(range(0, 100_000, 20))
    monkeypatch.setattr(fetch.time, "monotonic", lambda: next(clock))

    class Trickle(httpx.SyncByteStream):
        def __iter__(self):
            yield from (DATA[i : i + 1] for i in range(100))

    respx_mock.get(URL).mock(side_effect=lambda _: httpx.Response(200, headers={"ETag": '"v"'}, stream=Trickle()))
    with pytest.raises(ExchangeFailed, match="bytes in 30 s"):
        Fetcher(httpx.Client(), Bans(tmp_path / "bans"), Patience()).fetch(URL, tmp_path / "a.zip")


@pytest.mark.parametrize("target", ["https://evil.test/a.zip", "http://127.0.0.2/a.zip", "/elsewhere.zip"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_t12_a_redirect_is_refused_and_not_followed(fetcher, respx_mock, right_checksum, tmp_path, target, status):
    respx_mock.get(URL).respond(status, headers={"Location": target})
    with pytest.raises(RedirectRefused, match="configured address alone"):
        fetcher.fetch(URL, tmp_path / "a.zip")


@pytest.mark.parametrize("status", [400, 401, 403, 451])
def test_a_refusal_is_not_repeated(fetcher, respx_mock, right_checksum, tmp_path, status):
    archive = respx_mock.get(URL).respond(status)
    with pytest.raises(ExchangeRefused, match=str(status)):
        fetcher.fetch(URL, tmp_path / "a.zip")
    assert archive.call_count == 1


def test_an_archive_or_checksum_beyond_its_limit_is_cut_off(fetcher, respx_mock, right_checksum, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "MAX_ARCHIVE", 1000)
    respx_mock.get(URL).respond(content=DATA)
    with pytest.raises(TooLarge, match="1,000"):
        fetcher.fetch(URL, tmp_path / "a.zip")
    respx_mock.get(URL + ".CHECKSUM").respond(text="x" * 100_000)
    with pytest.raises(TooLarge, match="4,096"):
        fetcher.fetch(URL, tmp_path / "a.zip")


def test_a_damaged_note_of_a_ban_bans_nobody(tmp_path):
    bans = Bans(tmp_path)
    bans.note("host:80", 60)
    (note,) = tmp_path.iterdir()
    with pytest.raises(ExchangeBanned):
        bans.check("host:80")
    for text in ("", "{}", json.dumps({"until": "x"}), "\x00"):
        note.write_text(text)
        bans.check("host:80")
