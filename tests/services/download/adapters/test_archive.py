"""Zips from outside: T06, every way in which one can be wrong."""

import struct
import zipfile

import pytest

from services.download.adapters.archive import open_member
from services.download.domain.errors import BadArchive, ZipBomb
from tests.services.download.sources import trade, zipped

NAME = "BTCUSDT-trades-2024-01-05.csv"
TEXT = "".join(trade(i) for i in range(500)).encode()


@pytest.fixture
def unpack(tmp_path):
    def run(data: bytes, member: str | None = NAME) -> bytes:
        path = tmp_path / "a.zip"
        path.write_bytes(data)
        with open_member(path, "a.zip", member) as chunks:
            return b"".join(chunks)

    return run


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_the_one_member_is_read_whole(unpack, method):
    assert unpack(zipped({NAME: TEXT}, method)) == TEXT


@pytest.mark.parametrize("cut", [1, 10, 200, 2000])
def test_t06_a_zip_cut_short_is_refused(unpack, cut):
    with pytest.raises(BadArchive):
        unpack(zipped({NAME: TEXT})[:-cut])


def test_t06_a_flipped_bit_is_found(unpack):
    data = bytearray(zipped({NAME: TEXT}))
    for at in range(60, len(data) - 120, 97):
        spoilt = bytearray(data)
        spoilt[at] ^= 0x10
        with pytest.raises(BadArchive):
            unpack(bytes(spoilt))


@pytest.mark.parametrize(("before", "after"), [(b"", b"x" * 64), (b"junk", b""), (b"", b"\0")])
def test_t06_bytes_before_or_after_the_zip_are_refused(unpack, before, after):
    with pytest.raises(BadArchive, match="before or after"):
        unpack(before + zipped({NAME: TEXT}) + after)


@pytest.mark.parametrize(
    "members",
    [
        {NAME: TEXT, "other.csv": b"1"},
        {"../../" + NAME: TEXT},
        {"other.csv": TEXT},
        {NAME + ".exe": TEXT},
        {"sub/" + NAME: TEXT},
        {"..\\" + NAME: TEXT},
        {},
    ],
)
def test_t06_anything_but_the_one_expected_member_is_refused(unpack, members):
    with pytest.raises(BadArchive):
        unpack(zipped(members))


def test_a_member_of_any_name_will_do_where_none_is_expected_but_no_path(unpack):
    assert unpack(zipped({"x.csv": TEXT}), None) == TEXT
    for name in ("x.txt", "../x.csv", "/x.csv"):
        with pytest.raises(BadArchive):
            unpack(zipped({name: TEXT}), None)


def test_t06_a_bomb_is_refused_before_it_is_unpacked(unpack):
    with pytest.raises(ZipBomb, match="would unpack to 67,108,864"):
        unpack(zipped({NAME: b"0" * (64 << 20)}))


def test_t06_a_bomb_that_lies_about_its_size_is_cut_off(unpack):
    data = bytearray(zipped({NAME: b"0" * (8 << 20)}))
    directory = data.index(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", 1000)  # declared size in the directory
    with pytest.raises(BadArchive):
        unpack(bytes(data))


def test_t06_a_comment_that_is_announced_and_missing_is_refused(unpack):
    data = bytearray(zipped({NAME: TEXT}))
    data[-2] = 1
    with pytest.raises(BadArchive, match="before or after"):
        unpack(bytes(data))


def test_an_error_of_the_reader_is_not_taken_for_damage(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({NAME: TEXT}))
    with pytest.raises(ValueError, match="our own"), open_member(tmp_path / "a.zip", "a.zip", NAME):
        raise ValueError("our own")


def test_an_encrypted_member_is_refused(unpack):
    data = bytearray(zipped({NAME: TEXT}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadArchive, match="encrypted"):
        unpack(bytes(data))
