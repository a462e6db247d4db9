"""What clients send to the gateway and what they get back."""

from math import ceil, floor
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from tickloom.contracts.artifact import Manifest
from tickloom.contracts.backtest import IS_A_METRIC, NO_IMPACT_OF_CONTRACTS, BacktestRequest
from tickloom.contracts.bars import BarsRequest, choice, source_fault
from tickloom.contracts.base import Contract, RunOrArtifactId
from tickloom.contracts.download import DownloadRequest
from tickloom.contracts.events import BestTrial, Trials
from tickloom.contracts.features import FeaturesRequest, is_feature, not_made
from tickloom.contracts.signals import SignalsRequest
from tickloom.contracts.stages import REQUESTS, STAGES
from tickloom.contracts.viz import VizRequest
from tickloom.ledger.models import State
from tickloom.rules.binding import PREVIOUS
from tickloom.strategy.metrics import Metrics


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


NOT_PROBED_HERE = (
    "it runs bars, features, signals and fills many times over, and a service runs its own stage alone. Leave it "
    "out here: `tickloom run FILE` takes the same sections with probe among them, submits the rest, waits, probes and "
    "has the report drawn with the verdict; `tickloom probe FILE` only probes (docs/probe.md)"
)


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

    @model_validator(mode="before")
    @classmethod
    def _is_not_probed_here(cls, body: Any) -> Any:
        if isinstance(body, dict) and "probe" in body:
            raise ValueError(f"probe: {NOT_PROBED_HERE}")
        return body

    @model_validator(mode="after")
    def _has_no_gap(self) -> Self:
        given = [getattr(self, stage) is not None for stage in STAGES]
        if given != sorted(given, reverse=True):
            missing = STAGES[given.index(False)]
            raise ValueError(f"{missing}: this stage is left out, but a later one needs what it makes")
        return self

    @model_validator(mode="after")
    def _features_are_of_bars_that_are_made(self) -> Self:
        if self.bars is not None and self.features is not None:
            try:
                choice(self.bars.specs or (), self.features.bars)
            except ValueError as error:
                raise ValueError(f"features.bars: {error}") from None
        return self

    @model_validator(mode="after")
    def _there_are_symbols_enough_to_hold(self) -> Self:
        if self.download is None or self.backtest is None or self.backtest.portfolio is None:
            return self
        least, n = self.backtest.portfolio.limits.min_holdings, len(self.download.symbols or self.download.files)
        if least > n:
            text = f"{least} cannot be held: the download has {n} symbols"
            raise ValueError(f"backtest.portfolio.limits.min_holdings: {text}")
        return self

    @model_validator(mode="after")
    def _stop_is_of_features_that_are_made(self) -> Self:
        stop = self.backtest.stop_loss if self.backtest is not None else None
        if (
            stop is not None
            and self.features is not None
            and (reason := not_made(stop.column, self.features.columns()))
        ):
            raise ValueError(f"backtest.stop_loss.column: {reason}")
        return self

    @model_validator(mode="after")
    def _rules_read_features_that_are_made(self) -> Self:
        if self.signals is None or self.features is None:
            return self
        made = self.features.columns()
        for rule, column in self.signals.column_names():
            if is_feature(column) and (reason := not_made(column.removeprefix(PREVIOUS), made)):
                raise ValueError(f"signals.{rule}: {reason}")
        return self

    @model_validator(mode="after")
    def _parameters_are_no_metrics(self) -> Self:
        if self.signals is not None and self.backtest is not None:
            for name in sorted(self.signals.parameters.keys() & Metrics.__annotations__):
                raise ValueError(f"signals.parameters.{name}: {IS_A_METRIC}")
        return self

    @model_validator(mode="after")
    def _bars_can_be_made_of_the_download(self) -> Self:
        source = self.download
        for name, spec in self.bars.named().items() if self.bars is not None else ():
            if fault := source_fault(spec, source.interval, source.market):
                raise ValueError(f"{f'bars.specs.{name}' if name else 'bars.spec'}.{fault[0]}: {fault[1]}")
        if source.market == "coinm" and self.backtest is not None and self.backtest.impact is not None:
            raise ValueError(f"backtest.impact: {NO_IMPACT_OF_CONTRACTS}")
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
    retry_at: str = Field("", description="of not-published: the UTC time from which on trying again is of use")


class Accepted(Contract):
    """The task is recorded: whatever is killed from here on, it will be carried out."""

    task_id: str = Field(examples=["0f0e6b0d5a2f4b0f8a6d0b9d3f1c2e4a"])
    state: State
    artifact_id: str = Field(description="the artifact that the task will have made when it ends with SUCCESS")
    created: bool = Field(description="false: an equal request was accepted before, this is its task")
    status_url: str


class Span(Contract):
    """A number that is not known for sure."""

    low: int
    expected: int
    high: int

    @classmethod
    def of(cls, low: float, expected: float, high: float) -> Self:
        """Return the span of whole numbers that holds these."""
        return cls(low=floor(low), expected=round(expected), high=ceil(high))


class Seconds(Contract):
    """A time that is not known for sure."""

    low: float
    expected: float
    high: float


class StageEstimate(Contract):
    """What a stage would cost. What is null is not known, and `how` says why."""

    stage: str
    cached: bool = Field(description="its artifact is there: nothing would be computed")
    rows: Span | None = Field(description="bars or trades that it goes through, of all symbols")
    trials: int | None = Field(description="parameter sets of each symbol, of signals and backtest")
    memory_bytes: Span | None = Field(description="what it adds to the process of it that needs most")
    seconds: Seconds | None
    how: str = Field(description="how the rows are known, or why they are not")


class Estimate(Contract):
    """What a submission would come to. Nothing was queued or written."""

    dry_run: Literal[True] = True
    artifact_id: str = Field(description="the artifact that it would make")
    rows: Span | None = Field(description="bars that the last stage goes through, of all symbols")
    trials: int | None = Field(description="parameter sets of each symbol")
    memory_bytes: Span | None = Field(description="of the stage that needs most, of those that are known")
    seconds: Seconds | None = Field(description="of all stages that are known")
    unknown: list[str] = Field([], description="stages of which neither is known, and so not in these two")
    how: str = Field(description="how the estimate is made")
    stages: list[StageEstimate]


class AcceptedList(Contract):
    """Several tasks that are recorded."""

    tasks: list[Accepted]


class StaleView(Contract):
    """The exchange has replaced an archive that this was made from. What was made stays as it is."""

    since: str
    detail: str
    next: str = Field(description="what to do next")
    archives: list[str] = Field(description="names of the archives that differ, at most 100")


class StageStatus(Contract):
    """How far one stage is."""

    stage: str
    state: State
    progress: float = Field(ge=0, le=1)
    done: int = Field(description="partitions finished")
    total: int = Field(description="partitions in all; 0 while not known")
    rows: int
    rows_per_s: float | None
    seconds_left: float | None = Field(description="at the rate of this attempt; null while not known")
    trials: Trials | None = Field(description="of a search: how many trials are finished")
    best: BestTrial | None = Field(description="of a search: the best trial so far")
    message: str
    warnings: list[str]
    attempt: int
    cached: bool = Field(description="the artifact was there already")
    artifact_id: str
    stale: StaleView | None = Field(description="what its artifact was made from has been replaced since")
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
    seconds_left: float | None = Field(description="of that stage; null while not known")
    trials: Trials | None = Field(description="of its backtest: how many trials are finished")
    best: BestTrial | None = Field(description="of its backtest: the best trial so far")
    message: str
    warnings: list[str]
    artifact_id: str
    stale: StaleView | None = Field(description="what the artifact was made from has been replaced since")
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
    stale: StaleView | None


class ArtifactView(Contract):
    """An artifact: its manifest, and what it was made from."""

    manifest: Manifest
    stale: StaleView | None = Field(description="what it was made from has been replaced since")
    lineage: list[LineageStep] = Field(description="nearest first, down to the download")
