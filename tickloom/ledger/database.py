"""The ledger's database: SQLite (WAL, synchronous=FULL) by default, PostgreSQL by URL, the same code on both."""

import fcntl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import NullPool

import migrations
from tickloom.errors import Unavailable
from tickloom.settings import settings


class LedgerUnavailable(Unavailable):
    """The ledger cannot be read or written."""

    next_step = "free disk space, or bring its database back, then send the same request again"

    def __str__(self) -> str:
        return f"the ledger fails: {self.args[0]}"


def now_us() -> int:
    """Return the time, int microseconds UTC."""
    return time.time_ns() // 1000


@lru_cache(maxsize=4)
def engine(url: str) -> Engine:
    """Return the engine of a database, one per process. A SQLite file's folder is made."""
    if not url.startswith("sqlite"):
        return create_engine(url.replace("postgresql://", "postgresql+psycopg://"), pool_pre_ping=True, pool_size=10)
    Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    # A connection per use: SQLite opens in microseconds, and threads never share one.
    made = create_engine(url, poolclass=NullPool, connect_args={"timeout": 30})

    @event.listens_for(made, "connect")
    def connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that will write takes the write lock at once: upgrading later could only fail.
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    # One connection stays: SQLite removes its log and its index of the log with the last one, and making them anew
    # costs time, and fails on a full disk, where /status has to answer all the same.
    keeper = made.raw_connection()
    keeper.cursor().execute("SELECT count(*) FROM sqlite_master").fetchall()
    event.listen(made, "engine_disposed", lambda _: keeper.close())
    return made


@contextmanager
def transaction(url: str, *, write: bool = True) -> Iterator[Session]:
    """Yield a session; commit at the end, roll back on an error."""
    with (
        engine(url).connect().execution_options(write=write) as connection,
        connection.begin(),
        Session(connection) as session,
    ):
        yield session
        session.flush()


def insert_new(session: Session, table: type[DeclarativeBase], rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows whose key is new and leave the others as they are, also when another transaction is at it too."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    for row in rows:
        session.execute(insert(table).values(**row).on_conflict_do_nothing())


def migrate(url: str) -> None:
    """Bring the schema up to date. Safe to call from several processes at once."""
    with _migration_lock(url), engine(url).connect().execution_options(write=True) as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _migration_lock(url: str) -> Iterator[None]:
    if not url.startswith("sqlite"):
        with engine(url).connect() as connection:
            connection.exec_driver_sql("SELECT pg_advisory_lock(7421865)")
            try:
                yield
            finally:
                connection.exec_driver_sql("SELECT pg_advisory_unlock(7421865)")
        return
    lock = Path(f"{url.removeprefix('sqlite:///')}.migrating")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ledger_url() -> str:
    """Return the URL of the ledger of the settings."""
    return settings().ledger()
