"""From a request to a submission: defaults filled in, files pinned, symbols and days checked, ids computed.

What is recorded is the request with every choice spelled out; so equal requests have equal ids whatever the
operator's defaults are tomorrow.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from api_gateway.models import PipelineRequest
from api_gateway.venues import check_symbols
from tickloom.contracts.base import Contract
from tickloom.contracts.download import DownloadRequest, SourceFile
from tickloom.contracts.stages import VERSIONS, stage_before
from tickloom.errors import InvalidRequest, UnknownArtifact
from tickloom.identity import artifact_id, digest, sha256_file
from tickloom.lake import open_lake
from tickloom.ledger import ledger_url, runs
from tickloom.ledger.runs import PlannedStage, Submission
from tickloom.settings import settings


def pipeline(request: PipelineRequest, *, check: bool, idempotency_key: str | None) -> Submission:
    """Return the submission of a whole chain."""
    chain = [(stage, resolve(part, check=check)) for stage, part in request.chain()]
    stages = _plan(chain, None)
    body = {"name": request.name} | {stage: part.canonical() for stage, part in chain}
    name = request.name or _name(chain[0][1])
    return Submission("pipeline", name, body, stages, _key("pipeline", body), idempotency_key=idempotency_key)


def single(
    stage: str, request: Contract, source: str | None, *, check: bool, idempotency_key: str | None
) -> Submission:
    """Return the submission of one stage on top of a task or an artifact."""
    resolved = resolve(request, check=check)
    input_run, input_artifact = _input(stage, source)
    stages = _plan([(stage, resolved)], input_artifact)
    body = resolved.canonical() | ({"input": input_artifact} if input_artifact else {})
    return Submission(
        stage, _name(resolved), body, stages, _key(stage, body), input_run=input_run, idempotency_key=idempotency_key
    )


def _key(kind: str, body: Mapping[str, object]) -> str:
    return digest({"kind": kind, "request": body, "versions": VERSIONS})


def _plan(chain: Sequence[tuple[str, Contract]], input_artifact: str | None) -> list[PlannedStage]:
    stages = []
    for stage, request in chain:
        body = request.canonical()
        made = artifact_id(stage, VERSIONS[stage], body, [input_artifact] if input_artifact else [])
        stages.append(PlannedStage(stage, body, made, input_artifact))
        input_artifact = made
    _forget_lost([planned.artifact_id for planned in stages])
    return stages


def _forget_lost(ids: Sequence[str]) -> None:
    """Let the ledger forget artifacts that somebody removed from the lake: they will be made again."""
    lake = open_lake()
    lost = [known for known in runs.known_artifacts(ledger_url(), ids) if lake.find(known) is None]
    if lost:
        runs.forget_artifacts(ledger_url(), lost)


def _input(stage: str, source: str | None) -> tuple[str | None, str | None]:
    """Return (task, artifact) of a stage's input, given either."""
    needed = stage_before(stage)
    if source is None or needed is None:
        return None, None
    if len(source) == 32:
        return source, runs.artifact_of(ledger_url(), source, needed)
    row = runs.artifact(ledger_url(), source)
    if row is None:
        raise UnknownArtifact(source)
    if row.stage != needed:
        raise InvalidRequest("input", f"{stage} needs an artifact of stage {needed}, this one is of {row.stage}")
    return None, source


def resolve(request: Contract, *, check: bool) -> Contract:
    """Return the request with nothing left open. Raises InvalidRequest where it cannot be carried out."""
    if not isinstance(request, DownloadRequest):
        return request
    if request.venue == "file":
        files = {symbol: _pin(symbol, file) for symbol, file in request.files.items()}
        return request.model_copy(update={"files": files, "symbols": request.all_symbols()})
    resolved = request.model_copy(update={"venue": request.venue or settings().venue})
    today = datetime.now(UTC).date()
    if resolved.first_day() >= today:
        raise InvalidRequest(
            "start_date", f"{request.start_date} lies in the future: archives end with yesterday, UTC (now {today})"
        )
    if resolved.last_day() >= today and not _is_month_of(resolved.end_date, today.isoformat()):
        raise InvalidRequest(
            "end_date", f"{request.end_date} is not over: archives end with yesterday, UTC (now {today})"
        )
    if check:
        check_symbols(resolved)
    return resolved


def _is_month_of(text: str | None, day: str) -> bool:
    return text is not None and len(text) == 7 and day.startswith(text)


def _pin(symbol: str, file: SourceFile) -> SourceFile:
    path = import_path(symbol, file.path)
    found = sha256_file(path)
    if file.sha256 and file.sha256 != found:
        raise InvalidRequest(f"files.{symbol}", f"{file.path} has SHA-256 {found}, not the one that was asked for")
    return SourceFile(path=file.path, sha256=found)


def import_path(symbol: str, name: str) -> Path:
    """Return the file of that name in the import folder, and nowhere else. Raises InvalidRequest."""
    root = settings().import_dir.resolve()
    where = f"the import folder {root} (TICKLOOM_IMPORT_DIR)"
    if "\0" in name:
        raise InvalidRequest(f"files.{symbol}", "a file name holds no NUL")
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise InvalidRequest(f"files.{symbol}", f"{name!r} leads out of {where}")
    if not path.is_file():
        raise InvalidRequest(f"files.{symbol}", f"there is no file {name!r} in {where}")
    return path


def _name(request: Contract) -> str:
    if isinstance(request, DownloadRequest):
        days = " to ".join(dict.fromkeys(filter(None, (request.start_date, request.end_date))))
        return f"{' '.join(request.all_symbols())} {days}".strip()[:200]
    return ""
