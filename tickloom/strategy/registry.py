"""Installed strategies, loaded: what `tickloom.strategy.installed` finds becomes code that runs."""

from dataclasses import dataclass
from typing import Any

from tickloom.strategy.compiled import CompiledStrategy
from tickloom.strategy.installed import Found, StrategyChanged, UnknownStrategy, find
from tickloom.strategy.strategy import Strategy

Made = type[Strategy] | CompiledStrategy[Any, Any]
_loaded: dict[tuple[str, str], tuple[str, Made]] = {}
"""(name, entry point) -> the digest of the files that were imported, and what they brought."""


@dataclass(frozen=True)
class Installed:
    """A strategy with the package that brought it: results belong to both."""

    name: str
    package: str
    source: str
    made: Made


def load(name: str, source: str | None = None) -> Installed:
    """Return the strategy; `source` insists on the digest of its files.

    Raises StrategyNotAllowed, before anything is imported, UnknownStrategy, and StrategyChanged where the files are
    not those asked for, or no longer those that this process has imported.
    """
    found = find(name)
    if source is not None and source != found.source:
        raise StrategyChanged(name, f"{found.package or 'its package'} here is not the one the request was made for")
    key = (name, found.entry.value)
    if key not in _loaded:
        _loaded[key] = (found.source, _made(found))
    imported, made = _loaded[key]
    if imported != found.source:
        raise StrategyChanged(name, f"{found.package or 'its package'} was installed anew after this process loaded it")
    return Installed(name, found.package, found.source, made)


def _made(found: Found) -> Made:
    made = found.entry.load()
    if not (isinstance(made, CompiledStrategy) or (isinstance(made, type) and issubclass(made, Strategy))):
        kinds = "a class of tickloom.strategy.Strategy nor a CompiledStrategy"
        raise UnknownStrategy(found.name, f"{found.entry.value} is neither {kinds}")
    return made
