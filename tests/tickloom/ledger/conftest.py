"""The same ledger tests run on SQLite and on a real PostgreSQL."""

from pathlib import Path

import pytest
from sqlalchemy import text

from tickloom.ledger import migrate, transaction


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
        session.execute(text("TRUNCATE outbox, stages, runs, artifacts, stale_artifacts, rechecks, searches"))
    return made
