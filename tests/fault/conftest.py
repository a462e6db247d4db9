"""One system for all fault tests, and what its request makes when nothing disturbs it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.oracle import SMALL, Reference, forget, request, undisturbed
from tests.fault.points import Record
from tests.fault.system import System


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each of these tests time for a system that starts, fails, and is started again on a busy machine."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The system; at the end it must go without leaving anything behind."""
    system = System(tmp_path_factory.mktemp("fault") / "home")
    try:
        system.start()
        yield system
        system.stop()
    finally:
        system.close()


@pytest.fixture
def system(running: System) -> System:
    """The system, all parts up, nothing at work; brought back to that when the test before has failed."""
    running.recover()
    forget(running)
    return running


@pytest.fixture(scope="session")
def reference(running: System) -> Reference:
    """What the request makes undisturbed: the same twice, the second time with warm processes, which is timed."""
    first, second = undisturbed(running, request()), undisturbed(running, request())
    assert first.tree == second.tree
    return second


@pytest.fixture(scope="session")
def small_reference(running: System) -> Reference:
    """The same for the small request."""
    return [undisturbed(running, request(**SMALL)) for _ in range(2)][1]


@pytest.fixture(scope="session")
def record(pytestconfig: pytest.Config) -> Iterator[Record]:
    """Collects what came of each point, tells it at the end, and keeps it in the file that FAULT_RECORD names."""
    record = Record()
    yield record
    lines = record.lines()
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and lines:
        reporter.write_line("")
        for line in lines:
            reporter.write_line(line)
    if "FAULT_RECORD" in os.environ:
        Path(os.environ["FAULT_RECORD"]).write_text("\n".join(lines) + "\n")
