"""What a task has finished of a part that is not whole yet. It outlives the kill of its writer.

A part costs a file, synced and linked; a journal costs one write a record. Each attempt appends to a file of its own in
the part's folder, so that nobody has to mend what another one left half written. A record is its SHA-256, its length
and its bytes: whatever is torn or damaged ends the reading of its file, and is made again. A record that was written
is in the hands of the kernel: it survives every process, though not a power cut.
"""

import contextlib
import hashlib
import os
import shutil
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path

from tickloom.errors import LakeUnavailable

_HEAD = struct.Struct(">32sI")


class Journal:
    """The records of one part, by as many attempts as there were."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def fresh(self) -> Iterator[bytes]:
        """Yield the whole records that this object has not yielded before, those of each attempt in order."""
        try:
            files = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return
        for path in files:
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                start = file.seek(self._read.get(path, 0))
                for end, record in _records(file.read()):
                    self._read[path] = start + end
                    yield record

    @contextlib.contextmanager
    def writer(self) -> "Iterator[Writer]":
        """Open a file for an attempt's records; made with the first of them."""
        writer = Writer(self._folder)
        try:
            yield writer
        finally:
            writer.close()

    def remove(self) -> None:
        """Remove all of it: the part is whole."""
        shutil.rmtree(self._folder, ignore_errors=True)


class Writer:
    """The end of an attempt's file."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, -1

    def append(self, record: bytes) -> None:
        """Write a record, in one call to the kernel. Raises LakeUnavailable."""
        try:
            if self._file < 0:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                path = self._folder / uuid.uuid4().hex
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            whole = _HEAD.pack(hashlib.sha256(record).digest(), len(record)) + record
            if os.write(self._file, whole) < len(whole):
                raise OSError("the disk is full")
        except OSError as error:
            raise LakeUnavailable(str(self._folder), str(error)) from error

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (where it ends, record) up to the first one that is not whole."""
    at = 0
    while len(data) - at >= _HEAD.size:
        sha256, size = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + size
        record = data[at + _HEAD.size : end]
        if end > len(data) or hashlib.sha256(record).digest() != sha256:
            return
        yield end, record
        at = end
