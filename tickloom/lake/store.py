"""Where bytes are kept: a folder, or an S3 bucket. Two operations decide everything: create, which fails if the name
is taken, and read.

In a folder, `create` writes aside, syncs, and hard-links to the final name, so that a name is either absent or whole,
whatever is killed on the way. On S3 it is a conditional put.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from tickloom.errors import LakeUnavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config


class Store(Protocol):
    """Named bytes that never change once they are there. Names are relative, with '/' between folders."""

    def create(self, name: str, source: Path) -> bool:
        """Publish the file at `source` under `name`. Return False when the name is taken: it is left as it is."""

    def exists(self, name: str) -> bool: ...

    def read(self, name: str) -> bytes:
        """Return the bytes. Raises FileNotFoundError."""

    def local(self, name: str) -> Path | None:
        """Return a path to read the bytes from, or None where the store is remote."""

    def modified(self, name: str) -> float:
        """Return when the name was last created, in vain or not: seconds since the epoch. Raises FileNotFoundError."""

    def names(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield (name, bytes) of everything under `prefix`. For verify and gc alone: readers go through manifests."""

    def delete(self, name: str) -> None: ...


class FolderStore:
    """A folder on a file system that has hard links."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def _path(self, name: str) -> Path:
        path = (self.root / _checked(name)).resolve()
        if not path.is_relative_to(self.root):  # by a symbolic link
            raise ValueError(f"{name!r} leads out of the lake")
        return path

    def create(self, name: str, source: Path) -> bool:
        target = self._path(name)
        try:
            with source.open("rb") as file:
                os.fsync(file.fileno())
            _make_folder(target.parent)
            created = _link(source, target)
            # Also where another writer made the name: whoever goes on to name it in a manifest needs it to last.
            _sync_folder(target.parent)
        except OSError as error:
            raise LakeUnavailable(str(self.root), str(error)) from error
        return created

    def exists(self, name: str) -> bool:
        return self._path(name).exists()

    def read(self, name: str) -> bytes:
        path = self._path(name)
        with self._errors():
            return path.read_bytes()

    def local(self, name: str) -> Path | None:
        path = self._path(name)
        if not path.exists():
            raise FileNotFoundError(name)
        return path

    def modified(self, name: str) -> float:
        return self._path(name).stat().st_mtime

    def names(self, prefix: str) -> Iterator[tuple[str, int]]:
        for folder, _, files in os.walk(self._path(prefix) if prefix else self.root):
            for file in sorted(files):
                path = Path(folder) / file
                try:
                    yield path.relative_to(self.root).as_posix(), path.stat().st_size
                except FileNotFoundError:  # removed between the listing and the look
                    continue

    def delete(self, name: str) -> None:
        path = self._path(name)
        with self._errors():
            path.unlink(missing_ok=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise LakeUnavailable(str(self.root), str(error)) from error


class BucketStore:
    """An S3 bucket, or a prefix in one. The server must honour `If-None-Match: *` on put.

    Credentials and region come from the usual AWS_* variables, which the S3 client reads itself.
    """

    def __init__(self, url: str, endpoint: str) -> None:
        bucket, _, self._prefix = url.removeprefix("s3://").strip("/").partition("/")
        self._url = url
        # A large file on a slow line may take minutes; a server that does not answer is known to be gone in seconds.
        client: ClientConfig = {"timeout": "600s", "connect_timeout": "5s", "allow_http": bool(endpoint)}
        retry: RetryConfig = {"max_retries": 5, "retry_timeout": timedelta(seconds=30)}
        config: S3Config = {"endpoint": endpoint} if endpoint else {}
        self._store = S3Store(bucket, config=config, client_options=client, retry_config=retry)

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{_checked(name)}" if self._prefix else _checked(name)

    def create(self, name: str, source: Path) -> bool:
        try:
            with self._errors():
                obstore.put(self._store, self._key(name), source, mode="create")
        except AlreadyExistsError:
            return False
        except FileNotFoundError as error:
            raise LakeUnavailable(self._url, "there is no such bucket") from error
        return True

    def exists(self, name: str) -> bool:
        try:
            with self._errors():
                obstore.head(self._store, self._key(name))
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str) -> bytes:
        with self._errors():
            return bytes(obstore.get(self._store, self._key(name)).bytes())

    def local(self, name: str) -> Path | None:  # noqa: ARG002 (the protocol's form)
        return None

    def modified(self, name: str) -> float:
        with self._errors():
            return obstore.head(self._store, self._key(name))["last_modified"].timestamp()

    def names(self, prefix: str) -> Iterator[tuple[str, int]]:
        cut = len(self._prefix) + 1 if self._prefix else 0
        within = self._key(prefix) if prefix else self._prefix or None
        with self._errors():
            for batch in obstore.list(self._store, prefix=within):
                for entry in batch:
                    yield entry["path"][cut:], entry["size"]

    def delete(self, name: str) -> None:
        with self._errors():
            obstore.delete(self._store, self._key(name))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (AlreadyExistsError, FileNotFoundError):
            raise
        except (BaseError, OSError) as error:
            raise LakeUnavailable(self._url, str(error).partition("\n")[0]) from error


def open_store(url: str, endpoint: str = "") -> Store:
    """Return the store at `url`: `s3://bucket/prefix`, or a folder's path."""
    return BucketStore(url, endpoint) if url.startswith("s3://") else FolderStore(Path(url))


def scratch_name() -> str:
    """Return a file name that nobody else uses."""
    return uuid.uuid4().hex


def _checked(name: str) -> str:
    """Return `name` when it stays where it belongs: plain parts between single slashes. Raises ValueError."""
    if "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise ValueError(f"{name!r} is not a name in the lake")
    return name


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileExistsError:
        os.utime(target)  # it is wanted again: young in the eyes of gc
        return False
    return True


def _make_folder(folder: Path) -> None:
    """Make a folder that outlasts a power cut: each new one is written down in its parent."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
