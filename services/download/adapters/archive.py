"""A zip from outside: one member of the expected name and of a plausible size, or a named error."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from os import SEEK_CUR
from pathlib import Path
from typing import IO, Any, Final

from isal import igzip_lib, isal_zlib

from services.download.domain.errors import BadArchive, ZipBomb
from tickloom.errors import TickloomError

PACKED: Final = 1 << 16
UNPACKED: Final = 1 << 19
"""Bytes at a time: few enough to stay in a processor's cache from the inflater to the parser."""

_LENGTHS: Final = 26  # in a member's header, the lengths of its name and of what follows that
MAX_RATIO: Final = 200
"""Archives of trades unpack to about 6 times their size; a bomb to 1,000 times."""

ALWAYS_ALLOWED: Final = 1 << 20
MAX_UNPACKED: Final = 256 << 30
_INFLATE_ERROR: Any = igzip_lib.error  # a class; its stub says an instance
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    _INFLATE_ERROR,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    struct.error,
)


@contextmanager
def open_member(path: Path, name: str, member: str | None) -> Iterator[Iterator[bytes]]:
    """Yield the chunks of the one member of the zip at `path`.

    path    the file
    name    what to call it in an error
    member  the name that the member must have; None: any name that ends in .csv

    Raises BadArchive and ZipBomb, also while the chunks are read. A named error of whoever reads them is raised once
    the rest has turned out undamaged.
    """
    _check_end(path, name)
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            info = _only_member(archive, name, member)
            archive.open(info).close()  # compares the member's own header with the directory's
            file = stack.enter_context(path.open("rb"))
            file.seek(info.header_offset + _LENGTHS)
            file.seek(sum(struct.unpack("<HH", file.read(4))), SEEK_CUR)
        except _DAMAGE as error:
            raise _damaged(name, error) from error
        chunks = _chunks(file, name, info)
        try:
            yield chunks
        except BadArchive:
            raise
        except TickloomError:  # what makes no sense may be damage, and that shows at the end alone, in the CRC-32
            for _ in chunks:
                pass
            raise


def _check_end(path: Path, name: str) -> None:
    """The directory's end record must be the last thing in the file: zipfile would accept junk after it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, size - 22))
        end = file.read()
    if start != b"PK\x03\x04" or len(end) < 22 or end[:4] != b"PK\x05\x06" or end[20:22] != b"\0\0":
        raise BadArchive(name, "it is not a whole zip: cut short, or with something before or after it")


def _only_member(archive: zipfile.ZipFile, name: str, member: str | None) -> zipfile.ZipInfo:
    members = archive.infolist()
    if len(members) != 1:
        raise BadArchive(name, f"it has {len(members)} members, not one")
    info = members[0]
    if (member is not None and info.filename != member) or "/" in info.filename or "\\" in info.filename:
        raise BadArchive(name, f"its member is called {info.filename[:100]!r}, not {member or 'like a .csv file'!r}")
    if not info.filename.endswith(".csv"):
        raise BadArchive(name, f"its member is called {info.filename[:100]!r}, not like a .csv file")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        raise BadArchive(name, "its member is encrypted or packed in a way that exchanges do not use")
    if info.file_size > most_unpacked(info.compress_size):
        raise ZipBomb(name, f"{info.compress_size:,} bytes would unpack to {info.file_size:,}")
    return info


def most_unpacked(compressed: int) -> int:
    """Return how many bytes so many packed ones may unpack to."""
    return min(max(ALWAYS_ALLOWED, compressed * MAX_RATIO), MAX_UNPACKED)


def _chunks(file: IO[bytes], name: str, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield what is packed from the file's position on. Its size and its CRC-32 are compared as it comes."""
    seen, crc, limit = 0, 0, min(info.file_size, most_unpacked(info.compress_size))
    chunks = _inflated if info.compress_type == zipfile.ZIP_DEFLATED else _stored
    try:
        for chunk in chunks(file, info.compress_size):
            seen, crc = seen + len(chunk), isal_zlib.crc32(chunk, crc)
            if seen > limit:
                raise ZipBomb(name, f"it unpacks to more than {limit:,} bytes")
            yield chunk
    except _DAMAGE as error:
        raise _damaged(name, error) from error
    if seen != info.file_size:
        raise BadArchive(name, f"it is damaged (it unpacks to {seen:,} bytes, not {info.file_size:,})")
    if crc != info.CRC:
        raise BadArchive(name, f"it is damaged (its CRC-32 is {crc:08x}, not {info.CRC:08x})")


def _stored(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        chunk = file.read(min(PACKED, size))
        if not chunk:
            raise EOFError("its member is cut short")
        size -= len(chunk)
        yield chunk


def _inflated(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield what `size` bytes of deflated text hold, at most UNPACKED bytes at a time: a bomb fills no memory."""
    inflater = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
    packed = _stored(file, size)
    while not inflater.eof:
        fed = b""
        if inflater.needs_input and not (fed := next(packed, b"")):
            raise EOFError("its text has no end")
        if chunk := inflater.decompress(fed, UNPACKED):
            yield chunk
    if inflater.unused_data or next(packed, b""):
        raise ValueError("its text ends before its member does")


def _damaged(name: str, error: Exception) -> BadArchive:
    return BadArchive(name, f"it is damaged ({type(error).__name__}: {error})")
