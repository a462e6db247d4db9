"""POST /submit_<stage> and /submit_pipeline: accept work. 202 means it is recorded and will be carried out."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.concurrency import run_in_threadpool

from api_gateway import intake
from api_gateway.body import UnsupportedMediaType, pipeline_body
from api_gateway.models import EXAMPLES, Accepted, PipelineRequest, with_input
from api_gateway.venues import UnknownSymbol
from tickloom import queue
from tickloom.contracts.base import Contract
from tickloom.contracts.stages import REQUESTS, STAGES
from tickloom.errors import InvalidRequest, UnknownArtifact
from tickloom.http import BodyTooLarge, problems
from tickloom.ledger import ledger_url, runs
from tickloom.ledger.runs import InputFailed, KeyReused, Submission

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
ERRORS = problems(InvalidRequest, UnknownSymbol, UnknownArtifact, KeyReused, InputFailed, BodyTooLarge)


def _accept(submission: Submission, response: Response) -> Accepted:
    run_id, created = runs.accept(ledger_url(), submission)
    if created:
        queue.ring()
    run, _ = runs.read(ledger_url(), run_id)
    response.headers["location"] = f"/status/{run_id}"
    return Accepted(
        task_id=run_id,
        state=run.state,  # type: ignore[arg-type]
        artifact_id=run.artifact_id,
        created=created,
        status_url=f"/status/{run_id}",
    )


def _add(stage: str) -> None:
    """Add POST /submit_<stage>."""
    first = stage == STAGES[0]
    body = REQUESTS[stage] if first else with_input(stage)
    before = "" if first else " `input` is the task_id of the stage before it, finished or not, or an artifact's id."

    def submit(request: Contract, response: Response, key: Key = None, check_symbols: Check = True) -> Accepted:
        source = getattr(request, "input", None)
        plain = REQUESTS[stage].model_validate(request.model_dump(exclude={"input"}))
        submission = intake.single(stage, plain, source, check=check_symbols, idempotency_key=key)
        return _accept(submission, response)

    submit.__annotations__["request"] = body
    example = EXAMPLES[stage] | ({} if first else {"input": "0f0e6b0d5a2f4b0f8a6d0b9d3f1c2e4a"})
    submit.__doc__ = f"{(body.__doc__ or '').strip()}{before}"
    router.add_api_route(
        f"/submit_{stage}",
        submit,
        methods=["POST"],
        status_code=202,
        response_model=Accepted,
        responses=ERRORS,
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
    responses=ERRORS | problems(UnsupportedMediaType),
    openapi_extra=_pipeline_openapi(),
    summary="Submit a whole chain",
)
async def submit_pipeline(
    response: Response,
    request: Annotated[PipelineRequest, Depends(pipeline_body)],
    key: Key = None,
    check_symbols: Check = True,
) -> Accepted:
    """Accept a chain of stages as JSON or YAML, from the download as far as it goes."""

    def record() -> Accepted:
        return _accept(intake.pipeline(request, check=check_symbols, idempotency_key=key), response)

    return await run_in_threadpool(record)
