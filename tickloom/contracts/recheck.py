"""Asking an exchange whether it still serves the archives that a download was made from.

A recheck is done by the download stage, under an id of its own. Its manifest has no files; what it found is in the
facts: `archives` (how many), `changed`, `replaced`, `published` and `withdrawn` (paths of archives).
"""

from typing import Final

from pydantic import Field

from tickloom.contracts.base import ArtifactId, Contract

RECHECK: Final = "recheck"
VERSION: Final = 1


class RecheckRequest(Contract):
    """Compare the archives of a download with those that are served now: the `number`-th time that it is done."""

    recheck: ArtifactId
    number: int = Field(ge=1)
