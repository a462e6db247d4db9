"""Text of the import folder, unpacked where it is gzipped: no more than is plausible, or a named error."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from services.download.adapters.archive import most_unpacked
from services.download.domain.errors import FileUnreadable, ZipBomb
from tickloom.errors import TickloomError

CHUNK: Final = 8 << 20
MAX_TABLE: Final = 1 << 30
"""Bytes of text that may be read at once. Tables of other programs are, and take seven times as much memory: thirty
years of 1-minute klines."""


@contextmanager
def open_text(file: Path, path: str) -> Iterator[Iterator[bytes]]:
    """Yield the chunks of the text in `file`; `path` is what to call it in an error.

    Raises FileUnreadable where it is damaged and ZipBomb where it grows out of all proportion, also while the chunks
    are read. A named error of whoever reads them is raised once the rest has turned out undamaged.
    """
    with file.open("rb") as stream:
        chunks = _unpacked(stream, path, file.stat().st_size) if file.suffix == ".gz" else _plain(stream)
        try:
            yield chunks
        except (FileUnreadable, ZipBomb):
            raise
        except TickloomError:  # what makes no sense may be damage, and that shows at the end alone, in the CRC-32
            for _ in chunks:
                pass
            raise


def whole_text(file: Path, path: str) -> bytes:
    """Return all of the text in `file`. Raises what open_text raises, and FileUnreadable where it is too long."""
    found, size = [], 0
    with open_text(file, path) as chunks:
        for chunk in chunks:
            size += len(chunk)
            if size > MAX_TABLE:
                raise FileUnreadable(path, f"it has more than {MAX_TABLE:,} bytes of text: divide it, as by months")
            found.append(chunk)
    return b"".join(found)


def first_line(file: Path, path: str) -> bytes:
    """Return the first line, of what one chunk holds of it, without its end. Raises what open_text raises."""
    with open_text(file, path) as chunks:
        return next(chunks, b"").split(b"\n", 1)[0].removesuffix(b"\r")


def _plain(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk


def _unpacked(stream: IO[bytes], path: str, packed: int) -> Iterator[bytes]:
    seen, limit = 0, most_unpacked(packed)
    try:
        with gzip.open(stream) as unpacked:
            while chunk := unpacked.read(CHUNK):
                seen += len(chunk)
                if seen > limit:
                    raise ZipBomb(path, f"its {packed:,} bytes unpack to more than {limit:,}")
                yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileUnreadable(path, f"it is damaged, or not gzipped ({type(error).__name__}: {error})") from error
