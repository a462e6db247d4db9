"""Downloads that break off: T01, T11, with respx in the place of the exchange."""

from hashlib import sha256

import httpx
import pytest

from services.download.adapters import fetch
from services.download.domain.errors import (
    ExchangeFailed,
)
from tests.services.download.adapters.exchange import DATA, NAME, URL, Breaking, fetched
from tests.services.download.sources import checksum


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
    fetched(fetcher, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert asked == [(None, None), (f"bytes={half}-", '"v1"')]


def half_there(folder, data=DATA):
    """Leave what an attempt leaves that was killed half-way."""
    (folder / "a.zip").write_bytes(data[: len(DATA) // 2])
    (folder / "a.tag").write_text('"v1"')


def rest_of(request):
    """Answer a request for a part with that part."""
    first = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
    span = {"Content-Range": f"bytes {first}-{len(DATA) - 1}/{len(DATA)}", "ETag": '"v1"'}
    return httpx.Response(206, headers=span, content=DATA[first:])


def test_an_attempt_goes_on_where_the_one_before_was_killed(fetcher, respx_mock, right_checksum, tmp_path):
    half_there(tmp_path)
    archive = respx_mock.get(URL).mock(side_effect=rest_of)
    got = fetched(fetcher, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert (got.computed_sha256, got.bytes) == (sha256(DATA).hexdigest(), len(DATA))
    (call,) = archive.calls
    assert (call.request.headers["range"], call.request.headers["if-range"]) == (f"bytes={len(DATA) // 2}-", '"v1"')


def test_an_archive_of_which_all_was_there_is_not_asked_for(fetcher, respx_mock, right_checksum, tmp_path):
    (tmp_path / "a.zip").write_bytes(DATA)
    assert fetched(fetcher, tmp_path).bytes == len(DATA)


def test_what_was_there_and_does_not_fit_the_rest_is_fetched_anew(fetcher, respx_mock, right_checksum, tmp_path):
    half_there(tmp_path, bytes(len(DATA)))
    whole = httpx.Response(200, content=DATA)
    respx_mock.get(URL).mock(side_effect=lambda asked: rest_of(asked) if "range" in asked.headers else whole)
    assert fetched(fetcher, tmp_path).computed_sha256 == sha256(DATA).hexdigest()
    assert (tmp_path / "a.zip").read_bytes() == DATA


def test_a_download_tells_that_it_gets_on_by_its_bytes(fetcher, respx_mock, right_checksum, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "TOLD", 1 << 12)
    beats = []

    class Pieces(httpx.SyncByteStream):
        def __iter__(self):
            yield from (DATA[i : i + 100] for i in range(0, len(DATA), 100))

    respx_mock.get(URL).mock(return_value=httpx.Response(200, stream=Pieces()))
    fetcher.fetch(URL, fetcher.checksum(URL), tmp_path / "a.zip", lambda: beats.append(1))
    assert len(beats) == len(DATA) >> 12


def test_t11_a_download_whose_file_changed_meanwhile_starts_again(fetcher, respx_mock, right_checksum, tmp_path):
    old = Breaking(b"old bytes", httpx.ReadError("reset"))
    respx_mock.get(URL).mock(
        side_effect=[
            httpx.Response(200, headers={"ETag": '"v1"'}, stream=old),
            httpx.Response(200, headers={"ETag": '"v2"'}, content=DATA),
        ]
    )
    fetched(fetcher, tmp_path)
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
    fetched(fetcher, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert asked == [(None, None), ("bytes=10-", None), (None, None)]


@pytest.mark.parametrize("answer", [416, 206])
def test_a_misunderstood_range_is_followed_by_a_request_for_all(fetcher, respx_mock, right_checksum, tmp_path, answer):
    broken = httpx.Response(200, headers={"ETag": '"v1"'}, stream=Breaking(DATA[:10], httpx.ReadError("reset")))
    wrong = httpx.Response(answer, headers={"Content-Range": "bytes 3-9/10"}, content=b"wrong")
    respx_mock.get(URL).mock(side_effect=[broken, wrong, httpx.Response(200, content=DATA)])
    fetched(fetcher, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == DATA


def test_t01_a_trickle_counts_as_a_stall(fetcher, respx_mock, right_checksum, tmp_path, monkeypatch):
    clock = iter(range(0, 100_000, 20))
    monkeypatch.setattr(fetch.time, "monotonic", lambda: next(clock))

    class Trickle(httpx.SyncByteStream):
        def __iter__(self):
            yield from (DATA[i : i + 1] for i in range(100))

    respx_mock.get(URL).mock(side_effect=lambda _: httpx.Response(200, headers={"ETag": '"v"'}, stream=Trickle()))
    with pytest.raises(ExchangeFailed, match="bytes in 30 s"):
        fetched(fetcher, tmp_path)
