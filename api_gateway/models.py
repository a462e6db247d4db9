"""What clients send to the gateway and what they get back."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from tickloom.contracts.artifact import Manifest
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.bars import BarsRequest
from tickloom.contracts.base import Contract, RunOrArtifactId
from tickloom.contracts.download import DownloadRequest
from tickloom.contracts.features import FeaturesRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.contracts.stages import REQUESTS, STAGES
from tickloom.contracts.viz import VizRequest

State = Literal["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"]


def with_input(stage: str) -> type[Contract]:
    """Return the body of POST /submit_<stage>: the stage's request, and where its input comes from."""
    base = REQUESTS[stage]
    return create_model(
        f"Submit{stage.capitalize()}", __base__=base, __doc__=base.__doc__, input=(RunOrArtifactId, ...)
    )


EXAMPLES: dict[str, dict[str, Any]] = {
    "download": {"symbols": ["BTCUSDT", "ETHUSDT"], "start_date": "2022-01", "end_date": "2022-03"},
    "bars": {"spec": {"kind": "dollar", "threshold": 1000000}},
    "features": {"features": [{"name": "sma", "timeperiod": [10, 20, 50]}, {"name": "rsi", "timeperiod": 14}]},
    "signals": {
        "long_entry": "sma_{fast} > sma_{slow} AND rsi_14 < 70",
        "long_exit": "sma_{fast} < sma_{slow}",
        "parameters": {"fast": [10, 20], "slow": [50]},
    },
    "backtest": {"initial_cash": 10000, "commission_rate": 0.001, "slippage_rate": 0.0005, "stop_loss_rate": 0.02},
    "viz": {"title": "Moving averages on dollar bars"},
}
"""A working request of each stage."""


class PipelineRequest(Contract):
    """A chain of stages: the first ones of download, bars, features, signals, backtest, viz, none left out between."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "sma-cross", **EXAMPLES}]})

    name: str = Field("", max_length=120, description="how lists and reports call it")
    download: DownloadRequest
    bars: BarsRequest | None = None
    features: FeaturesRequest | None = None
    signals: SignalsRequest | None = None
    backtest: BacktestRequest | None = None
    viz: VizRequest | None = None

    @model_validator(mode="after")
    def _has_no_gap(self) -> Self:
        given = [getattr(self, stage) is not None for stage in STAGES]
        if given != sorted(given, reverse=True):
            missing = STAGES[given.index(False)]
            raise ValueError(f"{missing}: this stage is left out, but a later one needs what it makes")
        return self

    def chain(self) -> list[tuple[str, Contract]]:
        """Return the stages asked for, in order."""
        pairs = [(stage, getattr(self, stage)) for stage in STAGES]
        return [(stage, request) for stage, request in pairs if request is not None]


class ProblemView(BaseModel):
    """What went wrong (RFC 9457): what, which, and what to do next."""

    type: str = Field(examples=["urn:tickloom:problem:unknown-task"])
    title: str
    status: int
    detail: str
    next: str = Field(description="what to do next")
    retryable: bool = Field(description="whether the same request may succeed later")
    errors: list[dict[str, str]] = Field([], description="field and reason, where the request itself is wrong")


class Accepted(Contract):
    """The task is recorded: whatever is killed from here on, it will be carried out."""

    task_id: str = Field(examples=["0f0e6b0d5a2f4b0f8a6d0b9d3f1c2e4a"])
    state: State
    artifact_id: str = Field(description="the artifact that the task will have made when it ends with SUCCESS")
    created: bool = Field(description="false: an equal request was accepted before, this is its task")
    status_url: str


class StageStatus(Contract):
    """How far one stage is."""

    stage: str
    state: State
    progress: float = Field(ge=0, le=1)
    done: int = Field(description="partitions finished")
    total: int = Field(description="partitions in all; 0 while not known")
    rows: int
    rows_per_s: float | None
    message: str
    warnings: list[str]
    attempt: int
    cached: bool = Field(description="the artifact was there already")
    artifact_id: str
    error: dict[str, Any] | None
    started: str | None
    finished: str | None


class TaskStatus(Contract):
    """How far a task is: Celery's words for its state, the stage it is at, what went wrong."""

    task_id: str
    kind: str
    name: str
    state: State
    stage: str = Field(description="the stage it is at, or ended at")
    progress: Annotated[float, Field(ge=0, le=1, description="of the whole task")]
    rows: int
    rows_per_s: float | None
    message: str
    warnings: list[str]
    artifact_id: str
    error: dict[str, Any] | None
    created: str
    finished: str | None
    stages: list[StageStatus]


class TaskList(Contract):
    """A page of tasks, newest first."""

    tasks: list[TaskStatus]
    next: str | None = Field(description="pass it as cursor to get the next page; null on the last")


class LineageStep(Contract):
    """One artifact on the way from the exchange to this one."""

    id: str
    stage: str
    request: dict[str, Any]
    files: int
    rows: int
    bytes: int


class ArtifactView(Contract):
    """An artifact: its manifest, and what it was made from."""

    manifest: Manifest
    lineage: list[LineageStep] = Field(description="nearest first, down to the download")
