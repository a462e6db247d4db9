"""Reading a stage's work order: the request it holds, and that its id is that of this work."""

from typing import TypeVar

from pydantic import ValidationError

from tickloom.contracts.base import Contract
from tickloom.contracts.events import StageCall
from tickloom.contracts.stages import VERSIONS
from tickloom.errors import InvalidRequest
from tickloom.identity import artifact_id

Request = TypeVar("Request", bound=Contract)


def request_of(call: StageCall, stage: str, model: type[Request], needs: str) -> Request:
    """Return the call's request. Raises InvalidRequest, also when the id is not that of this work.

    needs  what the stage does with its one input, as in "a report is drawn of one backtest"
    """
    try:
        request = model.model_validate(call.request)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "request"
        raise InvalidRequest(field, first["msg"].removeprefix("Value error, ")) from None
    if len(call.inputs) != 1:
        raise InvalidRequest("inputs", f"{needs}, not {len(call.inputs)}")
    if call.artifact_id != artifact_id(stage, VERSIONS[stage], request.canonical(), call.inputs):
        reason = f"is not the id of this request over this input in version {VERSIONS[stage]}"
        raise InvalidRequest("artifact_id", reason)
    return request
