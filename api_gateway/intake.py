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
from tickloom.contracts.signals import InstalledStrategy, SignalsRequest
from tickloom.contracts.stages import VERSIONS, stage_before
from tickloom.contracts.viz import Ratios, VizRequest
from tickloom.errors import InvalidRequest, UnknownArtifact
from tickloom.identity import artifact_id, digest, sha256_file
from tickloom.lake import open_lake
from tickloom.ledger import editions, ledger_url, runs
from tickloom.ledger.runs import PlannedStage, Submission
from tickloom.ledger.trials import Searched, earlier_trials, requests_above, searches_of
from tickloom.settings import settings
from tickloom.strategy.installed import find
from tickloom.tries import Tries


def pipeline(request: PipelineRequest, *, check: bool, idempotency_key: str | None) -> Submission:
    """Return the submission of a whole chain."""
    chain = [(stage, resolve(part, check=check)) for stage, part in request.chain()]
    stages, searches = _plan(chain, None)
    body = {"name": request.name} | {planned.stage: planned.request for planned in stages}
    name = request.name or _name(chain[0][1])
    sent = digest(request.canonical())
    key = _key("pipeline", body)
    return Submission("pipeline", name, body, stages, key, None, idempotency_key, sent, searches)


def single(
    stage: str, request: Contract, source: str | None, *, check: bool, idempotency_key: str | None
) -> Submission:
    """Return the submission of one stage on top of a task or an artifact."""
    resolved = resolve(request, check=check)
    input_run, input_artifact = _input(stage, source)
    stages, searches = _plan([(stage, resolved)], input_artifact)
    body = stages[0].request | ({"input": input_artifact} if input_artifact else {})
    sent = digest({"stage": stage, "request": request.canonical(), "input": source})
    key = _key(stage, body)
    return Submission(stage, _name(resolved), body, stages, key, input_run, idempotency_key, sent, searches)


def _key(kind: str, body: Mapping[str, object]) -> str:
    return digest({"kind": kind, "request": body, "versions": VERSIONS})


def _plan(
    chain: Sequence[tuple[str, Contract]], input_artifact: str | None
) -> tuple[list[PlannedStage], list[Searched]]:
    """Return the stages with their ids, and what they search if a backtest is among them."""
    stages: list[PlannedStage] = []
    above = requests_above(ledger_url(), input_artifact) if input_artifact else {}
    for stage, request in chain:
        body = request.canonical()
        if isinstance(request, VizRequest):
            assert input_artifact is not None
            body = _told(request, earlier_trials(ledger_url(), input_artifact, searches_of(above))).canonical()
        made = artifact_id(stage, VERSIONS[stage], body, [input_artifact] if input_artifact else [])
        stages.append(PlannedStage(stage, body, made, input_artifact))
        above[stage] = body
        input_artifact = made
    return stages, searches_of(above) if "backtest" in (planned.stage for planned in stages) else []


def _told(request: VizRequest, earlier: Mapping[str, Tries]) -> VizRequest:
    """Return the request with what other searches have tried, whatever the client says of it."""
    counts = {symbol: tries.n for symbol, tries in earlier.items()}
    ratios = {s: Ratios(n=tries.n_measured, total=tries.total, squares=tries.squares) for s, tries in earlier.items()}
    return request.model_copy(update={"earlier_trials": counts, "earlier_ratios": ratios})


def forget_lost(submission: Submission) -> None:
    """Let the ledger forget artifacts that somebody removed from the lake: they will be made again."""
    lake, ids = open_lake(), [planned.artifact_id for planned in submission.stages]
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
    if isinstance(request, SignalsRequest) and request.strategy is not None:
        return request.model_copy(update={"strategy": _installed(request.strategy)})
    if not isinstance(request, DownloadRequest):
        return request
    if request.venue == "file":
        files = {symbol: _pin(symbol, file) for symbol, file in request.files.items()}
        return _newest(request.model_copy(update={"files": files, "symbols": request.all_symbols()}))
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
    return _newest(resolved)


def _installed(strategy: InstalledStrategy) -> InstalledStrategy:
    """Return the strategy with the package it is in: code that changes is another computation."""
    found = find(strategy.name)
    if strategy.source not in (None, found.source):
        raise InvalidRequest("strategy.source", f"{strategy.name} is {found.source} here, not what was asked for")
    return InstalledStrategy(name=strategy.name, package=found.package[:200], source=found.source)


def _newest(request: DownloadRequest) -> DownloadRequest:
    """Return the request for its newest edition, or for the earlier one that it names, if that is still there."""

    def numbered(edition: int) -> DownloadRequest:
        return request.model_copy(update={"edition": edition})

    def id_of(edition: int) -> str:
        return artifact_id("download", VERSIONS["download"], numbered(edition).canonical(), [])

    newest = editions.newest(ledger_url(), id_of)
    edition = newest if request.edition is None else request.edition
    if edition > newest:
        raise InvalidRequest("edition", f"there is no edition {edition} of this download yet: the newest is {newest}")
    if edition < newest and open_lake().find(id_of(edition)) is None:
        reason = "it is no longer in the lake, and the exchange has replaced its archives since"
        raise InvalidRequest("edition", f"edition {edition} cannot be made again: {reason}; the newest is {newest}")
    return numbered(edition)


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
    return request.title() if isinstance(request, DownloadRequest) else ""
