"""T-API: requests made from the OpenAPI description, right ones and wrong ones; the gateway never answers 5xx, and
never in a form that it does not describe."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as campaign
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
)

from api_gateway.app import create_gateway
from tickloom.ledger import ledger_url, migrate
from tickloom.settings import settings

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, negative_data_rejection]
ROUTES = [
    (method.upper(), path)
    for path, methods in create_gateway().openapi()["paths"].items()
    for method in methods
    if path != "/readyz"  # 503 is its right answer here: no part but the gateway is up
]


RIGHT_AND_WRONG = [(*route, mode) for route in ROUTES for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]
# There is no wrong GET /healthz; and of the pipeline's nested arrays this generator cannot make wrong ones.
IMPOSSIBLE = ("/healthz", "/submit_pipeline")


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [case for case in RIGHT_AND_WRONG if case[2] is GenerationMode.POSITIVE or case[1] not in IMPOSSIBLE],
)
def test_the_gateway_answers_as_its_description_says(method, path, mode, home, monkeypatch):
    monkeypatch.setenv("TICKLOOM_ALLOWED_HOSTS", "localhost,testserver")
    monkeypatch.setenv("TICKLOOM_VENUE", "sim")
    settings.cache_clear()
    migrate(ledger_url())
    operation = schemathesis.openapi.from_asgi("/openapi.json", create_gateway())[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @campaign(
        max_examples=20,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def answers(case):
        case.call_and_validate(checks=CHECKS)

    answers()
