"""Every trial ever run against the same data counts: whoever searches long enough finds something by luck alone.

A search is one backtest of one symbol: its parameter sets are its trials. It is recorded when it is accepted, and
counts while it runs and once it has succeeded. Of one that failed or was cancelled those trials count that were
reported as finished, for the best of them was shown. How far apart its Sharpe ratios came out is written down with its
artifact, so that the next search cannot make its luck small by being small.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from tickloom.contracts.artifact import Manifest
from tickloom.contracts.download import DownloadRequest
from tickloom.contracts.events import Progress
from tickloom.contracts.portfolio import PORTFOLIO
from tickloom.contracts.signals import SignalsRequest
from tickloom.ledger.database import transaction
from tickloom.ledger.models import ACTIVE, SUCCESS, Search, Stage
from tickloom.tries import Tries


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
    klines and bars of them all show the same prices. Imported files are what they are declared to be, so that a file
    with a line more is not fresh data; without declared days they are of all days. Nothing is known of an input whose
    run was deleted.
    """
    if not {"download", "signals"} <= requests.keys():
        return []
    download = DownloadRequest.model_validate(requests["download"])
    n_trials = SignalsRequest.model_validate(requests["signals"]).n_combinations()
    first = download.first_day() if download.start_date else "0000"
    last = download.last_day() if download.end_date else "9999"
    place = f"{download.venue} {download.market} {download.dataset}".strip()
    return [Searched(symbol, place, str(first), str(last), n_trials) for symbol in download.all_symbols()]


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


def seen(session: Session, backtest: str, progress: Progress) -> None:
    """Write down how many trials of a running backtest are finished: from now on somebody may have seen the best."""
    if progress.trials is not None:
        done = progress.trials.done
        mine = update(Search).where(Search.artifact_id == backtest, Search.n_seen < done)
        session.execute(mine.values(n_seen=done), execution_options={"synchronize_session": False})


def measured(session: Session, manifest: Manifest) -> None:
    """Write down how far apart the Sharpe ratios of a finished backtest came out, as its manifest says."""
    ratios = manifest.facts.get("tries", {})
    for row in session.scalars(select(Search).where(Search.artifact_id == manifest.id)):
        # An account of many symbols has one ratio a trial, and searched each of them.
        if found := ratios.get(row.symbol) or ratios.get(PORTFOLIO):
            tries = Tries(**found)
            row.n_measured, row.ratio_total, row.ratio_squares = tries.n_measured, tries.total, tries.squares
    session.flush()


def earlier_trials(url: str, backtest: str, searches: Sequence[Searched]) -> dict[str, Tries]:
    """Return by symbol the trials that other backtests than this one have run on days that its search is of."""
    found = {}
    with transaction(url, write=False) as session:
        for one in searches:
            tries = Tries.together(_tries(row, is_alive) for row, is_alive in _others(session, backtest, one))
            if tries.n:
                found[one.symbol] = tries
    return found


def _others(session: Session, backtest: str, one: Searched) -> list[tuple[Search, bool]]:
    """Return the searches of other backtests on the same data, and whether each runs, waits or has succeeded."""
    alive = exists().where(Stage.artifact_id == Search.artifact_id, Stage.state.in_((SUCCESS, *ACTIVE)))
    query = select(Search, alive).where(
        Search.data == one.data,
        Search.symbol == one.symbol,
        Search.first_day <= one.last_day,
        Search.last_day >= one.first_day,
        Search.artifact_id != backtest,
    )
    return [(row, is_alive) for row, is_alive in session.execute(query)]


def _tries(row: Search, is_alive: bool) -> Tries:
    """Return what a search counts for. Which symbol's trials were seen is not known, so as many as may be."""
    if row.n_measured is None or row.ratio_total is None or row.ratio_squares is None:
        return Tries.unknown(row.n_trials if is_alive else min(row.n_trials, row.n_seen))
    return Tries(row.n_trials, row.n_measured, row.ratio_total, row.ratio_squares)
