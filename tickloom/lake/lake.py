"""The lake: immutable files named by their SHA-256, and manifests that make them visible.

    objects/ab/<sha256>            bytes
    parts/<stage>/ab/<key>.json    what one partition's task made: found again after a kill
    journals/<stage>/<key>/        what a task has finished of a part so far: gone once the part is there
    unfinished/<key>/              what has arrived of a download so far: gone once it is read
    manifests/ab/<id>.json         an artifact; written last, so that whoever reads one finds all its files

Nothing is ever changed in place. A name that is taken holds the same content already, since names come from content:
writing it twice, by two workers or by a retry, is harmless.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import ValidationError

from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.errors import CorruptFile, LakeUnavailable, UnknownArtifact, UnknownFile
from tickloom.identity import canonical, sha256_file
from tickloom.lake.journal import Journal
from tickloom.lake.store import FolderStore, Store, open_store, scratch_name
from tickloom.lake.tables import read_table, write_table

_Named = TypeVar("_Named", Manifest, Part)


class Lake:
    """Artifacts, parts and objects in one store. Cheap to make, safe to share between threads and processes."""

    def __init__(self, url: str, endpoint: str = "") -> None:
        self.store: Store = open_store(url, endpoint)
        # A worker process elsewhere has another working folder: it is told the whole path.
        self.url = str(self.store.root) if isinstance(self.store, FolderStore) else url
        self.endpoint = endpoint

    def __reduce__(self) -> tuple[Any, ...]:
        return (open_lake, (self.url, self.endpoint))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a folder of one's own; what is still in it afterwards is removed."""
        # Files are made where they can be hard-linked from; a bucket has no such place.
        if isinstance(self.store, FolderStore):
            folder = self.store.root / "tmp" / scratch_name()
        else:
            folder = Path(tempfile.gettempdir()) / f"tickloom-{scratch_name()}"
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise LakeUnavailable(self.url, str(error)) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # files ------------------------------------------------------------------------------------------------------

    def add_file(
        self, name: str, path: Path, *, rows: int | None = None, facts: dict[str, Any] | None = None
    ) -> FileEntry:
        """Store the finished file at `path` (inside a scratch folder) and return its entry for a manifest."""
        sha256 = sha256_file(path)
        self.store.create(_object(sha256), path)
        return FileEntry(name=name, sha256=sha256, bytes=path.stat().st_size, rows=rows, facts=facts or {})

    def add_bytes(
        self, name: str, data: bytes, *, rows: int | None = None, facts: dict[str, Any] | None = None
    ) -> FileEntry:
        """Store bytes and return their entry for a manifest."""
        with self.scratch() as folder:
            path = folder / "bytes"
            _write(path, data, self.url)
            return self.add_file(name, path, rows=rows, facts=facts)

    def add_table(self, name: str, table: pa.Table, *, facts: dict[str, Any] | None = None) -> FileEntry:
        """Store a table as Parquet, re-opened and checked, and return its entry for a manifest."""
        with self.scratch() as folder:
            path = folder / "table.parquet"
            try:
                write_table(table, path)
            except OSError as error:
                raise LakeUnavailable(self.url, str(error)) from error
            if read_table(path).num_rows != table.num_rows:
                raise CorruptFile(name, "it reads back with another number of rows")
            return self.add_file(name, path, rows=table.num_rows, facts=facts)

    def read_bytes(self, entry: FileEntry) -> bytes:
        """Return a file's bytes, compared with their SHA-256. Raises CorruptFile."""
        try:
            data = self.store.read(_object(entry.sha256))
        except FileNotFoundError:
            raise CorruptFile(entry.name, "its bytes are not in the lake") from None
        found = hashlib.sha256(data).hexdigest()
        if found != entry.sha256:
            raise CorruptFile(entry.name, f"its SHA-256 is {found}, not {entry.sha256}")
        return data

    def read_table(
        self,
        entry: FileEntry,
        columns: Sequence[str] | None = None,
        *,
        threads: bool = False,
        rows: range | None = None,
    ) -> pa.Table:
        """Return a Parquet file as a table, or the columns or rows named. Raises CorruptFile when a bit is wrong.

        All of the file is compared with its SHA-256, and then decoded from the same memory: the page checksums leave
        out Parquet's own headers, where a bit turns 10**-2 into 10**-3. That costs a sixth of decoding the file.
        """
        return read_table(self.read_bytes(entry), columns, verified=True, threads=threads, rows=rows)

    def path(self, entry: FileEntry) -> Path | None:
        """Return where a file can be read on this machine, or None where the lake is remote.

        Whoever reads there does without the comparison with its SHA-256.
        """
        try:
            return self.store.local(_object(entry.sha256))
        except FileNotFoundError:
            raise CorruptFile(entry.name, "its bytes are not in the lake") from None

    # parts ------------------------------------------------------------------------------------------------------

    def put_part(self, stage: str, key: str, part: Part) -> Part:
        """Keep what a partition's task made under its key, the digest of all that it depends on.

        Return the part that the lake now has: the first one that was put there, as it is read. Made now or found, its
        facts are named in the lake's order: whoever writes them out again writes the same bytes.
        """
        text = canonical(part.canonical())
        if not self._create(_part(stage, key), text) and (there := self.part(stage, key)):
            return there
        return Part.model_validate_json(text)

    def part(self, stage: str, key: str) -> Part | None:
        """Return what was made under this key before, or None. Raises CorruptFile."""
        return self._read(_part(stage, key), Part)

    def journal(self, stage: str, key: str) -> Journal:
        """Return the journal of the part with this key: in the lake, or on this machine where the lake is a bucket."""
        return Journal(self._on_this_machine() / "journals" / stage / key)

    def unfinished(self) -> Path:
        """Return the folder of this machine for downloads that outlive an attempt: in the lake, or as a journal's.

        Whoever puts something there removes it again.
        """
        return self._on_this_machine() / "unfinished"

    def _on_this_machine(self) -> Path:
        if isinstance(self.store, FolderStore):
            return self.store.root
        from tickloom.settings import settings

        return settings().home.resolve()

    # artifacts --------------------------------------------------------------------------------------------------

    def put_manifest(self, manifest: Manifest) -> Manifest:
        """Make an artifact visible. Its files must be in the lake.

        Return the manifest that the lake now has: the first one that was put there.
        """
        if not self._create(_manifest(manifest.id), canonical(manifest.canonical())):
            return self.find(manifest.id) or manifest
        return manifest

    def find(self, artifact_id: str) -> Manifest | None:
        """Return an artifact's manifest, or None when it has not been made. Raises CorruptFile."""
        if not re.fullmatch("[0-9a-f]{64}", artifact_id):  # no id: and perhaps a path
            return None
        manifest = self._read(_manifest(artifact_id), Manifest)
        if manifest is not None and manifest.id != artifact_id:
            raise CorruptFile(f"the manifest of {artifact_id}", f"it is that of {manifest.id}")
        return manifest

    def manifest(self, artifact_id: str) -> Manifest:
        """Return an artifact's manifest. Raises UnknownArtifact."""
        manifest = self.find(artifact_id)
        if manifest is None:
            raise UnknownArtifact(artifact_id)
        return manifest

    def entry(self, manifest: Manifest, name: str) -> FileEntry:
        """Return the entry of a manifest's file. Raises UnknownFile."""
        entry = manifest.file(name)
        if entry is None:
            raise UnknownFile(manifest.id, name)
        return entry

    def ancestor(self, manifest: Manifest, stage: str) -> Manifest:
        """Return the nearest artifact of `stage` that this one was made from, itself included."""
        while manifest.stage != stage:
            if not manifest.inputs:
                raise UnknownArtifact(f"of stage {stage} before {manifest.id}")
            manifest = self.manifest(manifest.inputs[0])
        return manifest

    def _create(self, name: str, data: bytes) -> bool:
        with self.scratch() as folder:
            path = folder / "file"
            _write(path, data, self.url)
            return self.store.create(name, path)

    def _read(self, name: str, kind: type[_Named]) -> _Named | None:
        try:
            return kind.model_validate_json(self.store.read(name))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise CorruptFile(name, f"it is not the {kind.__name__.lower()} that was written") from error


def open_lake(url: str = "", endpoint: str = "") -> Lake:
    """Return the lake at `url`; without one, the lake of the settings."""
    from tickloom.settings import settings  # a task that is handed its lake pays for no reading of an environment

    return _open(url or settings().lake(), endpoint or settings().lake_s3_endpoint)


@lru_cache(maxsize=8)
def _open(url: str, endpoint: str) -> Lake:
    return Lake(url, endpoint)


def _object(sha256: str) -> str:
    return f"objects/{sha256[:2]}/{sha256}"


def _part(stage: str, key: str) -> str:
    return f"parts/{stage}/{key[:2]}/{key}.json"


def _manifest(artifact_id: str) -> str:
    return f"manifests/{artifact_id[:2]}/{artifact_id}.json"


def _write(path: Path, data: bytes, url: str) -> None:
    try:
        with path.open("wb") as file:
            file.write(data)  # synced as it gets its name
    except OSError as error:
        raise LakeUnavailable(url, str(error)) from error
