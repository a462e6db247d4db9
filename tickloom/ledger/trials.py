"""Every trial ever run against the same data counts: whoever searches long enough finds something by luck alone.

A search is one backtest of one symbol: its parameter sets are its trials. It is recorded when it is accepted, counts
while it runs and once it has succeeded, and is forgotten when it failed or was cancelled before anybody saw a result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from tickloom.contracts.download import DownloadRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.ledger.database import transaction
from tickloom.ledger.models import ACTIVE, SUCCESS, Search, Stage


@dataclass(frozen=True)
class Searched:
    """One symbol's search: which data, of which UTC days (both included), in how many trials."""

    symbol: str
    data: str
    first_day: str
    last_day: str
    n_trials: int


def searches_of(requests: Mapping[str, Mapping[str, Any]]) -> list[Searched]:
    """Return what a backtest searches, one entry a symbol.

    requests  the canonical requests of the stages before it; `download` and `signals` are needed

    Two searches are of the same data when they are of the same symbol of the same market, whatever the bars: ticks,
    klines and bars of them all show the same prices. An imported file is its SHA-256. Nothing is known of an input
    whose run was deleted.
    """
    if not {"download", "signals"} <= requests.keys():
        return []
    download = DownloadRequest.model_validate(requests["download"])
    n_trials = SignalsRequest.model_validate(requests["signals"]).n_combinations()
    first = download.first_day() if download.start_date else "0000"
    last = download.last_day() if download.end_date else "9999"
    place = f"{download.venue} {download.market} {download.dataset}".strip()
    return [
        Searched(
            symbol,
            f"file {pinned.sha256}" if (pinned := download.files.get(symbol)) else place,
            str(first),
            str(last),
            n_trials,
        )
        for symbol in download.all_symbols()
    ]


def requests_above(url: str, artifact_id: str) -> dict[str, Mapping[str, Any]]:
    """Return stage -> request of the artifacts that this one was made from, itself included."""
    return {stage: request for stage, (_, request) in stages_above(url, artifact_id).items()}


def stages_above(url: str, artifact_id: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return stage -> (artifact, request) of what this artifact was made from, itself included."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    wanted: str | None = artifact_id
    with transaction(url) as session:
        while wanted is not None:
            row = session.execute(
                select(Stage.stage, Stage.request, Stage.input_artifact_id).where(Stage.artifact_id == wanted).limit(1)
            ).first()
            if row is None:
                break
            found[row.stage] = wanted, row.request
            wanted = row.input_artifact_id
    return found


def record(session: Session, backtest: str, searches: Sequence[Searched]) -> None:
    """Write down the searches of a backtest artifact; once is enough."""
    if session.scalar(select(exists().where(Search.artifact_id == backtest))):
        return
    session.add_all(Search(artifact_id=backtest, **vars(one)) for one in searches)


def earlier_trials(url: str, backtest: str, searches: Sequence[Searched]) -> dict[str, int]:
    """Return by symbol how many trials other backtests than this one have run on days that its search is of."""
    alive = exists().where(Stage.artifact_id == Search.artifact_id, Stage.state.in_((SUCCESS, *ACTIVE)))
    counts = {}
    with transaction(url) as session:
        for one in searches:
            count = session.scalar(
                select(func.coalesce(func.sum(Search.n_trials), 0)).where(
                    Search.data == one.data,
                    Search.symbol == one.symbol,
                    Search.first_day <= one.last_day,
                    Search.last_day >= one.first_day,
                    Search.artifact_id != backtest,
                    alive,
                )
            )
            if count:
                counts[one.symbol] = int(count)
    return counts
