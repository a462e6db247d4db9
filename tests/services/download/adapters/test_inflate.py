"""What isal unpacks is held against the directory of the zip: size, CRC-32 and end, whatever the stream says."""

import struct
import zlib

import pytest

from services.download.adapters import archive as adapter
from services.download.adapters.archive import open_member
from services.download.domain.errors import BadArchive, BadRow, ZipBomb
from tests.services.download.sources import trade, zipped

NAME = "BTCUSDT-trades-2024-01-05.csv"
TEXT = "".join(trade(i) for i in range(60_000)).encode()


def forged(packed: bytes, size: int, crc: int, method: int = 8) -> bytes:
    """Return a zip whose one member is `packed`, with a directory that says what it is told to say."""
    fields = struct.pack("<HHHHHIIIHH", 20, 0, method, 0, 33, crc, len(packed), size, len(NAME), 0)
    local = b"PK\x03\x04" + fields + NAME.encode() + packed
    central = b"PK\x01\x02\x14\x00" + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + NAME.encode()
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


def deflated(text: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(text) + packer.flush()


@pytest.fixture
def unpack(tmp_path):
    def run(data: bytes) -> bytes:
        path = tmp_path / "a.zip"
        path.write_bytes(data)
        with open_member(path, "a.zip", NAME) as chunks:
            return b"".join(chunks)

    return run


def test_a_text_of_many_chunks_comes_out_whole(unpack):
    assert len(TEXT) > 4 * adapter.UNPACKED
    assert unpack(zipped({NAME: TEXT})) == TEXT
    assert unpack(forged(deflated(TEXT), len(TEXT), zlib.crc32(TEXT))) == TEXT
    assert unpack(forged(TEXT, len(TEXT), zlib.crc32(TEXT), method=0)) == TEXT
    assert unpack(forged(deflated(b""), 0, 0)) == b""


@pytest.mark.parametrize(
    ("packed", "size", "crc"),
    [
        (deflated(TEXT), len(TEXT), zlib.crc32(TEXT) ^ 1),
        (deflated(TEXT), len(TEXT) + 1, zlib.crc32(TEXT)),
        (deflated(TEXT), len(TEXT) - 1, zlib.crc32(TEXT[:-1])),
        (deflated(TEXT)[:-1], len(TEXT), zlib.crc32(TEXT)),
        (deflated(TEXT) + b"\0", len(TEXT), zlib.crc32(TEXT)),
        (deflated(TEXT) + b"\0" * (adapter.PACKED + 1), len(TEXT), zlib.crc32(TEXT)),
        (b"", len(TEXT), zlib.crc32(TEXT)),
        (b"\xff" * 1000, len(TEXT), zlib.crc32(TEXT)),
    ],
)
def test_t06_a_stream_that_is_not_what_the_directory_says_is_refused(unpack, packed, size, crc):
    with pytest.raises(BadArchive):
        unpack(forged(packed, size, crc))


@pytest.mark.parametrize(("crc_xor", "said"), [(0, BadRow), (1, BadArchive)])
def test_t06_a_row_that_makes_no_sense_is_called_damage_where_the_archive_is_damaged(tmp_path, crc_xor, said):
    path = tmp_path / "a.zip"
    path.write_bytes(forged(deflated(TEXT), len(TEXT), zlib.crc32(TEXT) ^ crc_xor))

    def read() -> None:
        with open_member(path, "a.zip", NAME) as chunks:
            next(chunks)
            raise BadRow("a.zip", 1, "no number")

    with pytest.raises(said):
        read()


def test_t06_a_bomb_that_lies_about_its_size_never_fills_the_memory(tmp_path):
    packed, largest = deflated(b"0" * (64 << 20)), 0
    (tmp_path / "a.zip").write_bytes(forged(packed, 100_000, 0))
    with pytest.raises(ZipBomb), open_member(tmp_path / "a.zip", "a.zip", NAME) as chunks:  # noqa: PT012
        for chunk in chunks:
            largest = max(largest, len(chunk))
    assert largest <= adapter.UNPACKED
