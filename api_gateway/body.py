"""Pipelines come as JSON or YAML: read either, refuse what is neither, and never build objects from text."""

import json
from typing import Any

import yaml
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from api_gateway.models import PipelineRequest
from tickloom.errors import BadRequest

YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


class UnreadableBody(BadRequest):
    """The body is not what its content type says."""

    status = 400

    def __str__(self) -> str:
        return f"the body cannot be read as {self.args[0]}: {self.args[1]}"


class UnsupportedMediaType(BadRequest):
    """The body's content type is not one that this call takes."""

    status = 415

    def __str__(self) -> str:
        return f"content type {self.args[0]!r} is not taken here: send application/json or application/yaml"


class _Loader(yaml.SafeLoader):
    """Plain data only: no aliases (a few lines of them can stand for gigabytes), and days stay text."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str | bytes) -> Any:
    """Return the plain data of a YAML text. Raises UnreadableBody."""
    try:
        return _Loader(text).get_single_data()
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UnreadableBody("YAML", " ".join(str(error).split())[:300]) from None


async def pipeline_body(request: Request) -> PipelineRequest:
    """Return the pipeline in the request's body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind in YAML_TYPES:
        try:
            text = json.dumps(parse_yaml(body), allow_nan=False)
        except (ValueError, TypeError) as error:
            raise UnreadableBody("YAML", str(error)) from None
    elif kind == "application/json":
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise UnreadableBody("JSON", "it is not UTF-8") from None
    else:
        raise UnsupportedMediaType(kind)
    try:
        return PipelineRequest.model_validate_json(text)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
