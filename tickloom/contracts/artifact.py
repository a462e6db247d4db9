"""What an artifact is: files under an id, and the manifest that makes them visible."""

from typing import Annotated, Any, Self

from pydantic import Field, ModelWrapValidatorHandler, computed_field, model_validator

from tickloom.contracts.base import ArtifactId, AsTuple, Contract, Sha256
from tickloom.identity import digest


class Sealed(Contract):
    """A contract that is written with a checksum of itself: with a bit changed on disk, it is refused."""

    @computed_field(description="SHA-256 of the canonical JSON of all the other fields")  # type: ignore[prop-decorator]
    @property
    def checksum(self) -> str:
        return digest(self.model_dump(mode="json", exclude={"checksum"}))

    @model_validator(mode="wrap")
    @classmethod
    def _is_unbroken(cls, value: Any, make: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(value, dict) or "checksum" not in value:  # made here, not read
            return make(value)
        made = make({key: inner for key, inner in value.items() if key != "checksum"})
        if made.checksum != value["checksum"]:
            raise ValueError("its checksum is not that of its content")
        return made


class FileEntry(Contract):
    """One file: the name its readers know, and the bytes it stands for."""

    name: str = Field(description="as in BTCUSDT/2022-01-03.parquet")
    sha256: Sha256
    bytes: int = Field(ge=0)
    rows: int | None = Field(None, description="rows of a table; null for other files")
    facts: dict[str, Any] = Field(default_factory=dict, description="what a reader may want before opening it")


class Part(Sealed):
    """What one partition's task made: kept under its key, so that a retry does not make it again."""

    files: Annotated[tuple[FileEntry, ...], AsTuple] = ()
    facts: dict[str, Any] = Field(default_factory=dict)


class Manifest(Sealed):
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
