"""What a service says while it works: one JSON object a line.

`progress` as partitions finish, `alive` at least once a second, then one of `finished` and `failed`, and the end.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from tickloom.contracts.artifact import Manifest
from tickloom.contracts.base import ArtifactId, AsTuple, Contract


class StageCall(Contract):
    """A stage's work order: the request, its input artifacts, and the id of what comes out."""

    artifact_id: ArtifactId
    request: dict[str, Any]
    inputs: Annotated[tuple[ArtifactId, ...], AsTuple] = ()


class Trials(Contract):
    """How far a search is."""

    done: int = Field(ge=0, description="trials finished, those of an earlier attempt included")
    total: int = Field(ge=0)


class BestTrial(Contract):
    """The best trial of those that are finished: of equals the first."""

    symbol: str
    parameters: dict[str, int | float]
    objective: str = Field(description="the metric that says which is better")
    value: float


class Progress(Contract):
    """How far a stage is."""

    event: Literal["progress"] = "progress"
    done: int = Field(ge=0, description="partitions finished")
    total: int = Field(ge=0, description="partitions in all")
    rows: int = Field(0, ge=0, description="input rows worked through so far")
    message: str = Field("", description="what is being worked on")
    seconds_left: float | None = Field(None, ge=0, description="at the rate of this attempt; null while not known")
    trials: Trials | None = None
    best: BestTrial | None = None
    warnings: Annotated[tuple[str, ...], AsTuple] = ()


class Alive(Contract):
    """The service is there and at work."""

    event: Literal["alive"] = "alive"


class Finished(Contract):
    """The artifact is in the lake."""

    event: Literal["finished"] = "finished"
    manifest: Manifest


class Failed(Contract):
    """The stage ended without an artifact."""

    event: Literal["failed"] = "failed"
    problem: dict[str, Any]


Event = Annotated[Progress | Alive | Finished | Failed, Field(discriminator="event")]
EVENTS: TypeAdapter[Progress | Alive | Finished | Failed] = TypeAdapter(Event)
