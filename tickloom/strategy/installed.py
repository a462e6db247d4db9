"""Which strategies are installed and allowed, and what they are made of: found, not imported.

A strategy is code, and code comes by installation alone: nothing here reads it from a request, a file or a string. The
operator names the entry points that may be loaded (`TICKLOOM_STRATEGIES_ALLOW`); any other is refused.
"""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from tickloom.errors import BadRequest
from tickloom.identity import digest, sha256_file
from tickloom.settings import settings

GROUP = "tickloom.strategies"
MAX_FILES = 10_000


class StrategyNotAllowed(BadRequest):
    """The operator has not allowed this strategy."""

    next_step = "ask the operator to name it in TICKLOOM_STRATEGIES_ALLOW and to start the parts again"

    def __str__(self) -> str:
        return f"{self.args[0]} is not among the strategies that may run here"


class UnknownStrategy(BadRequest):
    """No installed package brings a strategy of this name, or what it brings is none."""

    next_step = f"install the package that has it as an entry point of the group {GROUP}, wherever Tickloom's parts run"

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[1]}"


class StrategyChanged(BadRequest):
    """The strategy is not the one that the request was accepted with."""

    next_step = "start Tickloom's parts again, so that all have the same package, and submit again"

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[1]}"


@dataclass(frozen=True)
class Found:
    """A strategy's entry point, the package and version that bring it, and the digest of that package's files."""

    name: str
    entry: EntryPoint
    package: str
    source: str


def allowed() -> frozenset[str]:
    """Return the names that the operator has allowed."""
    return frozenset(name.strip() for name in settings().strategies_allow.split(",") if name.strip())


def find(name: str) -> Found:
    """Return where the strategy is. Imports nothing of it. Raises StrategyNotAllowed and UnknownStrategy."""
    if name not in allowed():
        raise StrategyNotAllowed(name)
    found = tuple(entry_points(group=GROUP, name=name))
    if len(found) != 1:
        raise UnknownStrategy(name, "no installed package has it" if not found else "more than one package has it")
    entry, dist = found[0], found[0].dist
    return Found(name, entry, f"{dist.name} {dist.version}" if dist else "", _source_of(entry))


def _source_of(entry: EntryPoint) -> str:
    """Return the digest of all files of the top-level package that the strategy is in: code, and data it may read."""
    top = entry.module.partition(".")[0]
    spec = find_spec(top)  # of a top-level name it looks for the file, and runs nothing
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        raise UnknownStrategy(entry.name, f"its module {entry.module} is not there")
    if not spec.submodule_search_locations:
        return digest([["", sha256_file(Path(str(spec.origin)))]])
    files: list[list[str]] = []
    for folder in map(Path, spec.submodule_search_locations):
        inside = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        files += [[path.relative_to(folder).as_posix(), sha256_file(path)] for path in islice(inside, MAX_FILES + 1)]
    if len(files) > MAX_FILES:
        raise UnknownStrategy(entry.name, f"its package {top} has more than {MAX_FILES:,} files")
    return digest(sorted(files))
