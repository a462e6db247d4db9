"""What an artifact is: files under an id, and the manifest that makes them visible."""

from typing import Annotated, Any

from pydantic import Field

from tickloom.contracts.base import ArtifactId, AsTuple, Contract


class FileEntry(Contract):
    """One file: the name its readers know, and the bytes it stands for."""

    name: str = Field(description="as in BTCUSDT/2022-01-03.parquet")
    sha256: str
    bytes: int
    rows: int | None = Field(None, description="rows of a table; null for other files")
    facts: dict[str, Any] = Field(default_factory=dict, description="what a reader may want before opening it")


class Part(Contract):
    """What one partition's task made: kept under its key, so that a retry does not make it again."""

    files: Annotated[tuple[FileEntry, ...], AsTuple] = ()
    facts: dict[str, Any] = Field(default_factory=dict)


class Manifest(Contract):
    """The list of an artifact's files. Equal computations have equal manifests, byte for byte."""

    id: ArtifactId
    stage: str
    version: int
    request: dict[str, Any]
    inputs: Annotated[tuple[ArtifactId, ...], AsTuple]
    files: Annotated[tuple[FileEntry, ...], AsTuple]
    facts: dict[str, Any] = Field(default_factory=dict)

    def file(self, name: str) -> FileEntry | None:
        """Return the file called `name`, or None."""
        return next((entry for entry in self.files if entry.name == name), None)

    def under(self, prefix: str) -> list[FileEntry]:
        """Return the files whose name starts with `prefix`, in the manifest's order."""
        return [entry for entry in self.files if entry.name.startswith(prefix)]
