"""A run of the ledger, as its clients see it."""

from datetime import UTC, datetime
from urllib.parse import unquote

from api_gateway.models import StageStatus, StaleView, TaskStatus
from tickloom.contracts.events import BestTrial, Trials
from tickloom.ledger.models import ACTIVE, STARTED, SUCCESS, Run, Stage, Stale


def _time(us: int | None) -> str | None:
    return None if us is None else datetime.fromtimestamp(us / 1e6, UTC).isoformat().replace("+00:00", "Z")


STALE_NEXT = "submit the same request again: it is computed from the archive that the exchange serves now"


def stale_view(row: Stale | None) -> StaleView | None:
    """Return what is said of a stale artifact; None of one that is not."""
    if row is None:
        return None
    names = [unquote(path.rpartition("/")[2]) for path in row.archives]
    which = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    detail = f"made from an archive that the exchange has since replaced ({which or 'found when it was made anew'})"
    return StaleView(since=_time(row.since) or "", detail=detail, next=STALE_NEXT, archives=names)


def _warnings(stage: StageStatus) -> list[str]:
    if stage.stale is None:
        return stage.warnings
    return [*stage.warnings, f"{stage.stale.detail}: submit again"]


def _stage_status(row: Stage) -> StageStatus:
    seconds = ((row.updated or 0) - (row.started or 0)) / 1e6
    progress = 1.0 if row.state == SUCCESS else (row.done / row.total if row.total else 0.0)
    return StageStatus(
        stage=row.stage,
        state=row.state,
        progress=min(progress, 1.0),
        done=row.done,
        total=row.total,
        rows=row.rows,
        rows_per_s=round(row.rows / seconds, 1) if row.rows and seconds > 0 else None,
        seconds_left=row.seconds_left if row.state == STARTED else None,
        trials=Trials.model_validate(row.trials) if row.trials else None,
        best=BestTrial.model_validate(row.best) if row.best else None,
        message=row.message,
        warnings=row.warnings,
        attempt=row.attempt,
        cached=row.cached,
        artifact_id=row.artifact_id,
        stale=stale_view(row.stale),
        error=row.error,
        started=_time(row.started),
        finished=_time(row.finished),
    )


def task_status(run: Run, rows: list[Stage]) -> TaskStatus:
    """Return a run as its clients see it."""
    stages = [_stage_status(row) for row in rows]
    current = next((stage for stage in stages if stage.state != SUCCESS), stages[-1])
    search = next((stage for stage in stages if stage.trials is not None), current)
    return TaskStatus(
        task_id=run.id,
        kind=run.kind,
        name=run.name,
        state=run.state,
        stage=current.stage,
        progress=sum(stage.progress for stage in stages) / len(stages),
        rows=current.rows,
        rows_per_s=current.rows_per_s,
        seconds_left=current.seconds_left,
        trials=search.trials,
        best=search.best,
        message=current.message,
        warnings=list(dict.fromkeys(text for stage in stages for text in _warnings(stage))),
        artifact_id=run.artifact_id,
        stale=stages[-1].stale,
        error=run.error if run.state not in ACTIVE else current.error,
        created=_time(run.created) or "",
        finished=_time(run.finished),
        stages=stages,
    )
