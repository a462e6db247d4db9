"""Pipelines in files: one file, or several of which a later one replaces sections of those before it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from api_gateway.body import parse_yaml
from api_gateway.models import PipelineRequest
from tickloom.errors import InvalidRequest


def sections(files: Sequence[Path]) -> dict[str, Any]:
    """Return the sections of a pipeline (name, download, bars, ...) in YAML or JSON files; of each the last one given.

    A section is replaced whole: nothing of the earlier one stays. Raises InvalidRequest and UnreadableBody.
    """
    found: dict[str, Any] = {}
    for file in files:
        try:
            text = file.read_bytes()
            body = json.loads(text) if file.suffix == ".json" else parse_yaml(text)
        except OSError as error:
            raise InvalidRequest("file", f"{file} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise InvalidRequest("file", f"{file} is no JSON: {error}") from error
        if not isinstance(body, dict):
            raise InvalidRequest("file", f"{file} must hold the sections of a pipeline: name, download, bars, ...")
        found |= body
    return found


def read(files: Sequence[Path]) -> PipelineRequest:
    """Return the pipeline in the files. Raises InvalidRequest and UnreadableBody."""
    body = sections(files)
    try:
        return PipelineRequest.model_validate_json(json.dumps(body, allow_nan=False))
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRequest(".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")) from None
    except (TypeError, ValueError) as error:
        raise InvalidRequest("file", f"it holds what no pipeline can: {error}") from None
