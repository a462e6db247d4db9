"""The gateway as a stranger meets it."""

import pytest
from fastapi.testclient import TestClient

from api_gateway.app import create_gateway, refuse_unsafe_bind
from tickloom import __version__
from tickloom.settings import settings

SECRET = "s" * 32


@pytest.fixture
def guarded(home, monkeypatch):
    monkeypatch.setenv("TICKLOOM_API_TOKEN", SECRET)
    settings.cache_clear()
    with TestClient(create_gateway(), base_url="http://localhost") as client:
        yield client


def test_with_a_token_set_every_route_but_health_asks_for_it(guarded):
    assert guarded.get("/healthz").status_code == 200
    for path in guarded.get("/openapi.json", headers={"authorization": f"Bearer {SECRET}"}).json()["paths"]:
        if path == "/healthz":
            continue
        assert guarded.get(path.replace("{", "").replace("}", "")).status_code == 401, path
    for path in ("/openapi.json", "/nothing", "/docs/x", "/static", "/static/../tasks"):
        assert guarded.get(path).status_code == 401, path
    wrong = guarded.get("/tasks", headers={"authorization": "Bearer " + "x" * 32})
    assert wrong.status_code == 401
    assert wrong.json()["next"]
    assert guarded.get("/tasks", headers={"authorization": f"Bearer {SECRET}"}).status_code == 200


def test_the_pages_that_ask_for_the_token_tell_a_stranger_nothing(guarded, home):
    for path in ("/", "/docs", "/static/docs.js"):
        answer = guarded.get(path)
        assert answer.status_code == 200, path
        assert not any(word in answer.text for word in (SECRET, str(home), __version__, "venue")), path
    assert "__version__" not in guarded.get("/static/%2e%2e/app.py").text
    for host in ("localhost:80/healthz?", "localhost:80/static/?", "localhost/docs?"):
        assert guarded.get("/tasks", headers={"host": host}).status_code in (400, 401), host


def test_S10_a_public_bind_without_token_and_proxy_refuses_to_start_and_says_why(home, monkeypatch):
    monkeypatch.setenv("TICKLOOM_HOST", "0.0.0.0")
    settings.cache_clear()
    with pytest.raises(SystemExit, match=r"TICKLOOM_API_TOKEN.*TICKLOOM_BEHIND_PROXY"):
        refuse_unsafe_bind()
    monkeypatch.setenv("TICKLOOM_API_TOKEN", "short")
    monkeypatch.setenv("TICKLOOM_BEHIND_PROXY", "1")
    settings.cache_clear()
    with pytest.raises(SystemExit, match="TICKLOOM_API_TOKEN"):
        refuse_unsafe_bind()
    monkeypatch.setenv("TICKLOOM_API_TOKEN", SECRET)
    settings.cache_clear()
    refuse_unsafe_bind()


def test_a_page_of_another_site_cannot_reach_it_under_a_name_of_its_own(home):
    with TestClient(create_gateway(), base_url="http://localhost") as client:
        assert client.get("/healthz", headers={"host": "evil.example"}).status_code == 400
        assert (
            "access-control-allow-origin"
            not in client.get("/healthz", headers={"origin": "http://evil.example"}).headers
        )
