"""What the documentation shows is taken by the contracts: requests as they stand, and answers too."""

import json
import re
from typing import Any

import pytest
from pydantic import BaseModel

from api_gateway import models
from api_gateway.app import app
from api_gateway.body import parse_yaml
from services.features.domain.catalogue import CATALOGUE
from tests.docs.pages import Block, blocks, pages
from tickloom.contracts.bars import BarsRequest
from tickloom.contracts.stages import REQUESTS, STAGES

CURL = re.compile(r"/submit_(\w+)[^\n]*?(?:\\\n[^\n]*?)*-d '(.*?)'", re.DOTALL)
SOME_TASK = "0" * 32
ANSWERS: dict[frozenset[str], type[BaseModel]] = {
    frozenset({"task_id", "status_url"}): models.Accepted,
    frozenset({"task_id", "stages"}): models.TaskStatus,
    frozenset({"tasks", "next"}): models.TaskList,
    frozenset({"manifest", "lineage"}): models.ArtifactView,
}


def model_of(stage: str) -> type[BaseModel]:
    if stage == "pipeline":
        return models.PipelineRequest
    return REQUESTS[stage] if stage == STAGES[0] else models.with_input(stage)


def check(page: str, stage: str, body: Any) -> None:
    try:
        model_of(stage).model_validate_json(json.dumps(body))
    except ValueError as error:
        pytest.fail(f"{page}: the {stage} request that it shows is refused: {error}")


def curls() -> list[tuple[str, str, str]]:
    """Return (page, stage, body) of every submission that is shown as a curl command."""
    return [(page, stage, body) for page, text in pages().items() for stage, body in CURL.findall(text)]


def shown(language: str) -> list[Block]:
    return [block for block in blocks() if block.language == language]


def test_there_are_examples_of_every_submission():
    assert {stage for _, stage, _ in curls()} >= set(STAGES)
    assert len(shown("json")) > 5
    assert shown("yaml")


@pytest.mark.parametrize(("page", "stage", "body"), curls())
def test_every_curl_submission_is_a_valid_request(page, stage, body):
    check(page, stage, json.loads(re.sub(r"<[^>]*>", SOME_TASK, body)))


@pytest.mark.parametrize("block", shown("json"), ids=lambda block: block.page)
def test_every_json_block_is_json_and_what_it_looks_like(block):
    value = json.loads(re.sub(r"<(task|artifact)[^>]*>", SOME_TASK, block.text))
    if not isinstance(value, dict):
        return
    for keys, answer in ANSWERS.items():
        if keys <= set(value):
            answer.model_validate_json(json.dumps(value))
    if isinstance(value.get("download"), dict):
        check(block.page, "pipeline", value)


@pytest.mark.parametrize("block", shown("yaml"), ids=lambda block: block.page)
def test_every_yaml_block_is_yaml_and_what_it_looks_like(block):
    value = parse_yaml(block.text)
    if not isinstance(value, dict):
        return
    if "download" in value:
        check(block.page, "pipeline", value)
        return
    for stage in STAGES:
        if isinstance(value.get(stage), dict):
            REQUESTS[stage].model_validate_json(json.dumps(value[stage]))


def test_the_call_of_the_issue_stands_in_the_readme_word_for_word():
    call = (
        "curl -X POST http://localhost:8000/submit_download -H 'Content-Type: application/json' "
        '-d \'{"symbols": ["BTCUSDT", "ETHUSDT"], "start_date": "2022-01", "end_date": "2022-03"}\''
    )
    assert call in pages()["README.md"]


def test_every_route_of_the_gateway_is_documented_and_no_other():
    described = {
        f"{method.upper()} {path}"
        for path, item in app.openapi()["paths"].items()
        for method in item
        if method != "head"
    }
    titles = set(re.findall(r"^## ((?:GET|POST|DELETE|PUT) \S+)$", pages()["docs/api.md"], re.MULTILINE))
    assert titles == described


def bar_kinds() -> list[str]:
    return sorted(BarsRequest.model_json_schema()["properties"]["spec"]["anyOf"][0]["discriminator"]["mapping"])


@pytest.mark.parametrize(("page", "names"), [("features", CATALOGUE), ("bars", bar_kinds())])
def test_every_feature_and_every_kind_of_bar_is_documented(page, names):
    text = pages()[f"docs/{page}.md"]
    assert [name for name in names if f"`{name}" not in text and f'"{name}"' not in text] == []
