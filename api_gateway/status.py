"""A run of the ledger, as its clients see it."""

from datetime import UTC, datetime

from api_gateway.models import StageStatus, TaskStatus
from tickloom.ledger.models import ACTIVE, SUCCESS, Run, Stage


def _time(us: int | None) -> str | None:
    return None if us is None else datetime.fromtimestamp(us / 1e6, UTC).isoformat().replace("+00:00", "Z")


def _stage_status(row: Stage) -> StageStatus:
    seconds = ((row.updated or 0) - (row.started or 0)) / 1e6
    progress = 1.0 if row.state == SUCCESS else (row.done / row.total if row.total else 0.0)
    return StageStatus(
        stage=row.stage,
        state=row.state,  # type: ignore[arg-type]
        progress=min(progress, 1.0),
        done=row.done,
        total=row.total,
        rows=row.rows,
        rows_per_s=round(row.rows / seconds, 1) if row.rows and seconds > 0 else None,
        message=row.message,
        warnings=row.warnings,
        attempt=row.attempt,
        cached=row.cached,
        artifact_id=row.artifact_id,
        error=row.error,
        started=_time(row.started),
        finished=_time(row.finished),
    )


def task_status(run: Run, rows: list[Stage]) -> TaskStatus:
    """Return a run as its clients see it."""
    stages = [_stage_status(row) for row in rows]
    current = next((stage for stage in stages if stage.state != SUCCESS), stages[-1])
    return TaskStatus(
        task_id=run.id,
        kind=run.kind,
        name=run.name,
        state=run.state,  # type: ignore[arg-type]
        stage=current.stage,
        progress=sum(stage.progress for stage in stages) / len(stages),
        rows=current.rows,
        rows_per_s=current.rows_per_s,
        message=current.message,
        warnings=list(dict.fromkeys(text for stage in stages for text in stage.warnings)),
        artifact_id=run.artifact_id,
        error=run.error if run.state not in ACTIVE else current.error,
        created=_time(run.created) or "",
        finished=_time(run.finished),
        stages=stages,
    )
