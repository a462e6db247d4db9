"""How fast this system's stages were lately."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from tickloom.ledger.database import transaction
from tickloom.ledger.models import SUCCESS, Stage


@dataclass(frozen=True)
class Finished:
    """A stage that was carried out, in one attempt: the rows of its progress, of a search its trials of all symbols."""

    rows: int
    seconds: float
    request: Mapping[str, Any]
    n_trials: int


def recent(url: str, stage: str, limit: int = 20) -> list[Finished]:
    """Return the last runs of a stage that succeeded at the first attempt and were not found ready."""
    done = (Stage.stage == stage, Stage.state == SUCCESS, Stage.cached.is_(False), Stage.attempt == 1, Stage.rows > 0)
    with transaction(url, write=False) as session:
        columns = (Stage.rows, Stage.started, Stage.finished, Stage.request, Stage.trials)
        found = session.execute(select(*columns).where(*done).order_by(Stage.finished.desc()).limit(limit)).all()
    return [
        Finished(rows, max(finished - started, 1) / 1e6, request, (trials or {}).get("total", 0))
        for rows, started, finished, request, trials in found
        if started is not None and finished is not None
    ]
