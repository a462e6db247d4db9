"""POST /submit_<stage> and /submit_pipeline: accept work. 202 means it is recorded and will be carried out."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.concurrency import run_in_threadpool

from api_gateway import intake, rechecks
from api_gateway.body import UnsupportedMediaType, pipeline_body
from api_gateway.dry_run import estimate
from api_gateway.models import EXAMPLES, Accepted, Estimate, PipelineRequest, with_input
from api_gateway.venues import UnknownSymbol
from tickloom import queue
from tickloom.contracts.base import Contract
from tickloom.contracts.stages import REQUESTS, STAGES
from tickloom.errors import InvalidRequest, UnknownArtifact
from tickloom.http import BodyTooLarge, problems
from tickloom.ledger import ledger_url, runs
from tickloom.ledger.runs import InputFailed, KeyReused, Submission
from tickloom.strategy.installed import StrategyNotAllowed, UnknownStrategy

router = APIRouter(tags=["submit"])
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="repeat a request with the same key after a broken connection: it is accepted once",
    ),
]
Check = Annotated[bool, Query(description="ask the venue whether it knows the symbols")]
DryRun = Annotated[
    bool,
    Query(description="answer 200 with the rows, trials, memory and time it would take; nothing is queued or written"),
]
ERRORS = problems(
    InvalidRequest,
    UnknownSymbol,
    UnknownArtifact,
    KeyReused,
    InputFailed,
    BodyTooLarge,
    StrategyNotAllowed,
    UnknownStrategy,
)

DRY: dict[int | str, dict[str, Any]] = {200: {"model": Estimate, "description": "What it would come to (dry_run)"}}


def _answer(submission: Submission, response: Response, dry_run: bool) -> Accepted | Estimate:
    """Record a submission, or only say what it would come to."""
    if dry_run:
        response.status_code = 200
        return estimate(submission.stages)
    intake.forget_lost(submission)
    run_id, created = runs.accept(ledger_url(), submission)
    if rechecks.ask_if_old(submission) or created:
        queue.ring()
    response.headers["location"] = f"/status/{run_id}"
    return accepted(run_id, created)


def accepted(run_id: str, created: bool) -> Accepted:
    """Return what a client is told of a task that was just recorded, or found."""
    run, _ = runs.read(ledger_url(), run_id)
    return Accepted(
        task_id=run_id,
        state=run.state,
        artifact_id=run.artifact_id,
        created=created,
        status_url=f"/status/{run_id}",
    )


def _add(stage: str) -> None:
    """Add POST /submit_<stage>."""
    first = stage == STAGES[0]
    body = REQUESTS[stage] if first else with_input(stage)
    before = "" if first else " `input` is the task_id of the stage before it, finished or not, or an artifact's id."

    def submit(
        request: Contract, response: Response, key: Key = None, check_symbols: Check = True, dry_run: DryRun = False
    ) -> Accepted | Estimate:
        source = getattr(request, "input", None)
        plain = REQUESTS[stage].model_validate(request.model_dump(exclude={"input"}))
        submission = intake.single(stage, plain, source, check=check_symbols, idempotency_key=key)
        return _answer(submission, response, dry_run)

    submit.__annotations__["request"] = body
    example = EXAMPLES[stage] | ({} if first else {"input": "0f0e6b0d5a2f4b0f8a6d0b9d3f1c2e4a"})
    submit.__doc__ = f"{(body.__doc__ or '').strip()}{before}"
    router.add_api_route(
        f"/submit_{stage}",
        submit,
        methods=["POST"],
        status_code=202,
        response_model=Accepted | Estimate,
        responses=DRY | ERRORS,
        name=f"submit_{stage}",
        openapi_extra={"requestBody": {"content": {"application/json": {"example": example}}}},
        summary=f"Submit the {stage} stage",
    )


for _stage in STAGES:
    _add(_stage)


def _pipeline_openapi() -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/PipelineRequest"}, "example": {"name": "sma-cross", **EXAMPLES}}
    return {"requestBody": {"required": True, "content": {"application/json": schema, "application/yaml": schema}}}


@router.post(
    "/submit_pipeline",
    status_code=202,
    response_model=Accepted | Estimate,
    responses=DRY | ERRORS | problems(UnsupportedMediaType),
    openapi_extra=_pipeline_openapi(),
    summary="Submit a whole chain",
)
async def submit_pipeline(
    response: Response,
    request: Annotated[PipelineRequest, Depends(pipeline_body)],
    key: Key = None,
    check_symbols: Check = True,
    dry_run: DryRun = False,
) -> Accepted | Estimate:
    """Accept a chain of stages as JSON or YAML, from the download as far as it goes."""

    def record() -> Accepted | Estimate:
        return _answer(intake.pipeline(request, check=check_symbols, idempotency_key=key), response, dry_run)

    return await run_in_threadpool(record)
