"""Which archives an artifact was made from, and which of them the exchange has replaced since."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from services.download.domain.archives import Archive
from tickloom.contracts.artifact import Part


def served(found: Mapping[Archive, Part | None]) -> dict[str, str]:
    """Return path -> SHA-256 of the archives as they were served; "" for a day that had none.

    A month without an archive is left out: its days stand for it, and it may well get one later.
    """
    asked = {
        archive.path: part.facts["quality"]["served_sha256"] if part is not None else ""
        for archive, part in found.items()
        if part is not None or not archive.monthly
    }
    return dict(sorted(asked.items()))


def _names(paths: list[str]) -> str:
    names = sorted(unquote(path.rpartition("/")[2]) for path in paths)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


@dataclass
class Comparison:
    """What the exchange serves now, compared with what it served when an artifact was made. Paths of archives."""

    same: int = 0
    replaced: list[str] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    def note(self, path: str, then: str, now: str | None) -> None:
        """Take in one archive: `then` and `now` are its checksums, none where there is no archive."""
        if then == (now or ""):
            self.same += 1
        elif not then:
            self.published.append(path)
        elif not now:
            self.withdrawn.append(path)
        else:
            self.replaced.append(path)

    def facts(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        lists = {"replaced": self.replaced, "published": self.published, "withdrawn": self.withdrawn}
        n_archives = self.same + sum(map(len, lists.values()))
        return {"archives": n_archives, "changed": self.changed(), **{name: sorted(of) for name, of in lists.items()}}

    def warnings(self) -> list[str]:
        """Return what a user should know."""
        said = [
            ("replaced by the exchange since, and what was made of it is stale: submit again", self.replaced),
            ("published since, and what was made without it is stale: submit again", self.published),
            ("withdrawn by the exchange: what was made of it cannot be made again", self.withdrawn),
        ]
        return [f"{_names(paths)}: {text}" for text, paths in said if paths]

    def changed(self) -> list[str]:
        """Return the archives of which the artifact does not hold what the exchange serves now, in order.

        One that was withdrawn is none of them: a new download could only do without its days.
        """
        return sorted(self.replaced + self.published)
