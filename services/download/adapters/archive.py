"""A zip from outside: one member of the expected name and of a plausible size, or a named error."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from services.download.domain.errors import BadArchive, ZipBomb

CHUNK: Final = 8 << 20
MAX_RATIO: Final = 200
"""Archives of trades unpack to about 6 times their size; a bomb to 1,000 times."""

ALWAYS_ALLOWED: Final = 1 << 20
MAX_UNPACKED: Final = 256 << 30
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError)


@contextmanager
def open_member(path: Path, name: str, member: str | None) -> Iterator[Iterator[bytes]]:
    """Yield the chunks of the one member of the zip at `path`.

    path    the file
    name    what to call it in an error
    member  the name that the member must have; None: any name that ends in .csv

    Raises BadArchive and ZipBomb, also while the chunks are read.
    """
    _check_end(path, name)
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            info = _only_member(archive, name, member)
            file = stack.enter_context(archive.open(info))
        except _DAMAGE as error:
            raise _damaged(name, error) from error
        yield _chunks(file, name, min(info.file_size, _limit(info.compress_size)))


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
    if info.file_size > _limit(info.compress_size):
        raise ZipBomb(name, f"{info.compress_size:,} bytes would unpack to {info.file_size:,}")
    return info


def _limit(compressed: int) -> int:
    return min(max(ALWAYS_ALLOWED, compressed * MAX_RATIO), MAX_UNPACKED)


def _chunks(file: IO[bytes], name: str, limit: int) -> Iterator[bytes]:
    seen = 0
    while True:
        try:
            chunk = file.read(CHUNK)
        except _DAMAGE as error:
            raise _damaged(name, error) from error
        if not chunk:
            return
        seen += len(chunk)
        if seen > limit:
            raise ZipBomb(name, f"it unpacks to more than {limit:,} bytes")
        yield chunk


def _damaged(name: str, error: Exception) -> BadArchive:
    return BadArchive(name, f"it is damaged ({type(error).__name__}: {error})")
