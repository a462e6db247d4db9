"""The tables of the ledger. Times are int64 microseconds UTC.

A run is what a client submitted: one stage, or a chain of them. A run's stages are rows of their own. An artifact is
known once its stage has committed; it is stale once an archive that it was made from has been replaced. The outbox
holds the messages that are still to be sent.
"""

from typing import Any, Final, Literal

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

State = Literal["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"]
PENDING: Final = "PENDING"
STARTED: Final = "STARTED"
RETRY: Final = "RETRY"
SUCCESS: Final = "SUCCESS"
FAILURE: Final = "FAILURE"
REVOKED: Final = "REVOKED"
ACTIVE: Final = (PENDING, STARTED, RETRY)
STATES: Final = (*ACTIVE, SUCCESS, FAILURE, REVOKED)


class Base(DeclarativeBase):
    """Declarative base of the ledger."""

    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy asks for a class attribute)
        dict[str, Any]: JSON(none_as_null=True),
        list[str]: JSON,
        int: BigInteger,
        float: Float,
    }


class Run(Base):
    """A submission: what /status tells of."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), index=True)
    name: Mapped[str] = mapped_column(String(200))
    state: Mapped[State] = mapped_column(String(8), index=True)
    request: Mapped[dict[str, Any]]
    artifact_id: Mapped[str] = mapped_column(String(64), index=True)
    content_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Digest of the request while the run may answer an equal one; null once it has failed or was revoked."""
    idempotency_key: Mapped[str | None] = mapped_column(String(200), unique=True)
    idempotency_digest: Mapped[str | None] = mapped_column(String(64))
    input_run: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), index=True)
    error: Mapped[dict[str, Any] | None]
    created: Mapped[int] = mapped_column(index=True)
    finished: Mapped[int | None]


class Stage(Base):
    """One stage of a run, and who works on it."""

    __tablename__ = "stages"
    __table_args__ = (
        # Equal computations are done once, whoever asks.
        Index(
            "one_computation",
            "artifact_id",
            unique=True,
            sqlite_where=text("state = 'STARTED'"),
            postgresql_where=text("state = 'STARTED'"),
        ),
        Index("stages_by_artifact", "artifact_id", "state"),
        Index("stages_by_input", "input_artifact_id", "state"),
        Index("stages_by_state", "state", "lease_until"),
    )

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(String(16), primary_key=True)
    position: Mapped[int]
    state: Mapped[State] = mapped_column(String(8))
    request: Mapped[dict[str, Any]]
    artifact_id: Mapped[str] = mapped_column(String(64))
    input_artifact_id: Mapped[str | None] = mapped_column(String(64))
    attempt: Mapped[int] = mapped_column(default=0)
    """Fencing token: raised by each claim, named by every write of its holder."""
    failures: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[int | None]
    not_before: Mapped[int] = mapped_column(default=0)
    sent: Mapped[int | None]
    """When its message was last handed to the broker."""
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    rows: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(String(500), default="")
    seconds_left: Mapped[float | None]
    trials: Mapped[dict[str, Any] | None]
    """How many trials of a search are finished, and of how many."""
    best: Mapped[dict[str, Any] | None]
    """The best trial so far: see tickloom/contracts/events.py."""
    warnings: Mapped[list[str]] = mapped_column(default=list)
    cached: Mapped[bool] = mapped_column(default=False)
    error: Mapped[dict[str, Any] | None]
    started: Mapped[int | None]
    updated: Mapped[int | None]
    finished: Mapped[int | None]
    stale: Mapped["Stale | None"] = relationship(
        primaryjoin="foreign(Stage.artifact_id) == Stale.artifact_id", viewonly=True, lazy="raise"
    )


class Artifact(Base):
    """An artifact that was committed: from here on it may be read."""

    __tablename__ = "artifacts"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    stage: Mapped[str] = mapped_column(String(16))
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    rows: Mapped[int]
    bytes: Mapped[int]
    created: Mapped[int]


class Stale(Base):
    """An artifact made from archives that the exchange has replaced since. It outlives the artifact's own row."""

    __tablename__ = "stale_artifacts"

    artifact_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    since: Mapped[int]
    download_id: Mapped[str] = mapped_column(String(64))
    archives: Mapped[list[str]]
    """Paths of the archives that differ, at most 100 of them."""


class Recheck(Base):
    """What is known of a download beside its artifact, also when that is no longer in the lake."""

    __tablename__ = "rechecks"

    download_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    done: Mapped[int] = mapped_column(default=0)
    """How often its archives were compared with those that are served."""
    asked: Mapped[int] = mapped_column(default=0)
    """When that was last asked for."""
    forgotten: Mapped[str | None] = mapped_column(String(64))
    """SHA-256 of the manifest that the lake has lost: made anew, it has to be the same one."""


class Search(Base):
    """The trials that a backtest runs on one symbol: see tickloom/ledger/trials.py."""

    __tablename__ = "searches"
    __table_args__ = (Index("searches_by_data", "data", "symbol"),)

    artifact_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    symbol: Mapped[str] = mapped_column(String(32), primary_key=True)
    data: Mapped[str] = mapped_column(String(300))
    first_day: Mapped[str] = mapped_column(String(10))
    last_day: Mapped[str] = mapped_column(String(10))
    n_trials: Mapped[int]
    n_seen: Mapped[int] = mapped_column(default=0, server_default="0")
    """The most trials of all its symbols together that were ever reported as finished, whatever became of the run."""
    n_measured: Mapped[int | None]
    """Trials with a Sharpe ratio; this and the sums of the ratios are null until its artifact is committed."""
    ratio_total: Mapped[float | None]
    ratio_squares: Mapped[float | None]


class Outbox(Base):
    """A message that the broker has not yet been given."""

    __tablename__ = "outbox"

    run_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    stage: Mapped[str] = mapped_column(String(16), primary_key=True)
    due: Mapped[int] = mapped_column(index=True)
