"""Where bytes are kept: a folder, or an S3 bucket. Two operations decide everything: create, which fails if the name
is taken, and read.

In a folder, `create` writes aside, syncs, and hard-links to the final name, so that a name is either absent or whole,
whatever is killed on the way. On S3 it is a conditional put.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from tickloom.errors import LakeUnavailable


class Store(Protocol):
    """Named bytes that never change once they are there. Names are relative, with '/' between folders."""

    def create(self, name: str, source: Path) -> bool:
        """Publish the file at `source` under `name`. Return False when the name is taken: it is left as it is."""

    def exists(self, name: str) -> bool: ...

    def read(self, name: str) -> bytes:
        """Return the bytes. Raises FileNotFoundError."""

    def local(self, name: str) -> Path | None:
        """Return a path to read the bytes from, or None where the store is remote."""

    def names(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield (name, bytes) of everything under `prefix`. For verify and gc alone: readers go through manifests."""

    def delete(self, name: str) -> None: ...


class FolderStore:
    """A folder on a file system that has hard links."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, name: str) -> Path:
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise ValueError(f"{name!r} leads out of the lake")
        return path

    def create(self, name: str, source: Path) -> bool:
        target = self._path(name)
        try:
            with source.open("rb") as file:
                os.fsync(file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target)
            except FileExistsError:
                return False
            _sync_folder(target.parent)
        except OSError as error:
            raise LakeUnavailable(str(self.root), str(error)) from error
        return True

    def exists(self, name: str) -> bool:
        return self._path(name).exists()

    def read(self, name: str) -> bytes:
        return self._path(name).read_bytes()

    def local(self, name: str) -> Path | None:
        path = self._path(name)
        if not path.exists():
            raise FileNotFoundError(name)
        return path

    def names(self, prefix: str) -> Iterator[tuple[str, int]]:
        for folder, _, files in os.walk(self._path(prefix)):
            for file in sorted(files):
                path = Path(folder) / file
                try:
                    yield str(path.relative_to(self.root.resolve())), path.stat().st_size
                except FileNotFoundError:  # removed between the listing and the look
                    continue

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)


class BucketStore:
    """An S3 bucket, or a prefix in one. The server must honour `If-None-Match: *` on put."""

    def __init__(self, url: str, endpoint: str) -> None:
        bucket, _, self._prefix = url.removeprefix("s3://").rstrip("/").partition("/")
        self._url = url
        options = {"endpoint": endpoint, "client_options": {"allow_http": True}} if endpoint else {}
        self._store = S3Store(bucket, **options)  # type: ignore[arg-type]

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def create(self, name: str, source: Path) -> bool:
        try:
            obstore.put(self._store, self._key(name), source, mode="create")
        except AlreadyExistsError:
            return False
        except BaseError as error:
            raise LakeUnavailable(self._url, str(error)) from error
        return True

    def exists(self, name: str) -> bool:
        try:
            obstore.head(self._store, self._key(name))
        except FileNotFoundError:
            return False
        except BaseError as error:
            raise LakeUnavailable(self._url, str(error)) from error
        return True

    def read(self, name: str) -> bytes:
        try:
            return bytes(obstore.get(self._store, self._key(name)).bytes())
        except FileNotFoundError:
            raise
        except BaseError as error:
            raise LakeUnavailable(self._url, str(error)) from error

    def local(self, name: str) -> Path | None:  # noqa: ARG002 (the protocol's form)
        return None

    def names(self, prefix: str) -> Iterator[tuple[str, int]]:
        cut = len(self._prefix) + 1 if self._prefix else 0
        for batch in obstore.list(self._store, prefix=self._key(prefix)):
            for entry in batch:
                yield entry["path"][cut:], entry["size"]

    def delete(self, name: str) -> None:
        obstore.delete(self._store, self._key(name))


def open_store(url: str, endpoint: str = "") -> Store:
    """Return the store at `url`: `s3://bucket/prefix`, or a folder's path."""
    return BucketStore(url, endpoint) if url.startswith("s3://") else FolderStore(Path(url))


def scratch_name() -> str:
    """Return a file name that nobody else uses."""
    return uuid.uuid4().hex


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
