"""How `make test` shares the tests between two processes: folder by folder, those that take minutes first.

The tests of a folder share systems that take seconds to start, so a folder is never cut in two.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

FIRST, LAST = ("fault",), ("e2e", "deploy", "cli")
"""The tests that start whole systems: those that wait for most of their time beside those that calculate."""


def folder_of(nodeid: str) -> str:
    """Return the folder whose tests stay together: tests/fault, tests/services/bars, tests/cli/lookahead."""
    parts = nodeid.split("::")[0].split("/")
    return "/".join(parts[: 3 if parts[1] in ("services", "tickloom") or parts[1:3] == ["cli", "lookahead"] else 2])


def in_order(items: list[pytest.Item]) -> None:
    """Sort tests in place by the order in which their folders are to begin; within a folder nothing changes."""

    def place(item: pytest.Item) -> int:
        name = folder_of(item.nodeid).rpartition("/")[2]
        return -1 if name in FIRST else LAST.index(name) + 1 if name in LAST else 0

    items.sort(key=place)


class ByFolder(LoadScopeScheduling):
    """Hands out folders in the order in which they were collected."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return folder_of(nodeid)
