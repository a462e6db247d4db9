"""What a task is, and what a place to run tasks must offer."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from tickloom.settings import settings

Result = TypeVar("Result")


@dataclass(frozen=True)
class Task(Generic[Result]):
    """A call to make somewhere: `name` is what the dashboard shows, as in `bars BTCUSDT 2022-01-03`."""

    name: str
    function: Callable[..., Result]
    args: tuple[Any, ...]
    keeps: bool = False  # the function returns Kept; its bulk stays where it was made
    given: Any = None  # the bulk of a Kept: one more argument for the function, left out where it cannot be had
    alive: Path | None = None  # a file that the function touches whenever it gets on: the deadline counts from then


class Kept(NamedTuple, Generic[Result]):
    """What a task that keeps something returns, and what comes of it: `bulk` is then for another task to be given."""

    result: Result
    bulk: Any  # None: it was not kept


class Place(NamedTuple):
    """Where tasks run: how many at once, and whether they can be given what others kept."""

    width: int
    keeps: bool


class Lost(Exception):
    """The process that ran a task is gone. `blameless`: not by the task's doing, so it does not count as a try."""

    def __init__(self, reason: str, *, blameless: bool = False) -> None:
        super().__init__(reason)
        self.blameless = blameless


class Backend(Protocol):
    """A place where tasks run. A handle stands for a task that was submitted."""

    keeps: bool
    """Whether tasks can be given what others kept."""

    def width(self) -> int:
        """Return how many tasks can run at once."""

    def submit(self, task: Task[Any]) -> Any:
        """Return the task's handle."""

    def wait(self, handles: Sequence[Any], timeout_s: float) -> set[Any]:
        """Return the handles that are done, as soon as one is; none after `timeout_s`."""

    def result(self, handle: Any) -> Any:
        """Return what the task of a done handle returned. Raises what it raised, or Lost."""

    def kill(self, handles: Sequence[Any]) -> None:
        """Stop tasks whose results nobody has asked for, also while they run."""


def cpus() -> int:
    """Return how many CPUs to keep busy on this machine."""
    return settings().cpus or os.cpu_count() or 1
