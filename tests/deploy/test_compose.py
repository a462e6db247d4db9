"""docker-compose.yml keeps what it says: settings exist, secrets are asked for, nothing is open to the world."""

import re
from pathlib import Path

import pytest

from tests.deploy.files import ROOT, compose, ours, run
from tickloom.contracts.stages import STAGES
from tickloom.settings import Settings

OTHERS = {"redis", "postgres", "minio", "make-bucket"}


def test_the_file_follows_the_compose_specification():
    result = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", ["docker-compose.yml", "deploy/k8s"])
def test_yamllint_finds_nothing(path):
    result = run("yamllint", "--strict", "-c", "deploy/yamllint.yaml", path)
    assert result.returncode == 0, result.stdout


def test_every_part_is_there():
    parts = {"gateway", "worker", "flower", "ray-head", "ray-worker", "exchange-sim", *STAGES}
    assert set(ours()) == parts
    assert set(compose()["services"]) == parts | OTHERS
    assert compose()["services"]["exchange-sim"]["profiles"] == ["sim"]


def test_every_setting_that_is_set_exists():
    known = {f"TICKLOOM_{name.upper()}" for name in Settings.model_fields}
    used = {name for service in ours().values() for name in service["environment"] if name.startswith("TICKLOOM_")}
    assert used
    assert used <= known


def test_the_settings_are_ones_that_the_parts_can_read(monkeypatch):
    for name, value in compose()["services"]["gateway"]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:?[-?]?([^}]*)\}", r"\1", str(value)))
    settings = Settings()
    assert {settings.service(stage) for stage in STAGES} == {f"http://{stage}:8100" for stage in STAGES}
    assert settings.ray_endpoint() == ("ray-head", 10001)
    assert settings.behind_proxy


def test_each_stage_runs_its_own_service():
    for stage in STAGES:
        assert ours()[stage]["command"][:2] == ["uvicorn", f"services.{stage}.api:app"]


def test_published_ports_are_on_loopback_and_documented():
    documented = (ROOT / "docs" / "deploy.md").read_text()
    published = {}
    for name, service in compose()["services"].items():
        for port in service.get("ports", []):
            match = re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-(\d+)\}:\d+", port)
            assert match, f"{name} publishes {port}, which is not on 127.0.0.1"
            published[name] = match[1]
    assert set(published) == {"gateway", "flower", "ray-head"}
    for port in published.values():
        assert f"| {port} |" in documented


def test_what_is_not_published_cannot_be_reached_from_outside():
    assert compose()["networks"]["inside"] == {"internal": True}
    outside = {name for name, service in compose()["services"].items() if "edge" in service["networks"]}
    # The exchange is outside: those who fetch from it need a way out.
    assert outside == {"gateway", "flower", "ray-head", "ray-worker", "download"}


def test_every_container_is_confined_and_limited():
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"]), name
        assert service["restart"] in ("unless-stopped", "on-failure"), name
        assert name == "make-bucket" or "healthcheck" in service, name
        assert service["logging"]["options"], name


def test_the_queue_refuses_work_when_it_is_full_and_survives_a_kill():
    command = compose()["services"]["redis"]["command"][-1]
    for option in ("--maxmemory-policy noeviction", "--appendonly yes", "--requirepass"):
        assert option in command


def test_secrets_have_no_default_and_are_listed_in_the_example():
    text = (ROOT / "docker-compose.yml").read_text()
    example = dict(
        line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if line and line[0] != "#"
    )
    required = set(re.findall(r"\$\{(\w+):\?", text))
    assert required == {name for name, value in example.items() if value.endswith("CHANGE-ME")}
    assert {"TICKLOOM_API_TOKEN", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "FLOWER_BASIC_AUTH"} <= required
    assert set(re.findall(r"\$\{(\w+):-", text)) - {"IMAGE"} == set(example) - required


def test_volumes_and_secrets_that_are_used_are_declared():
    for name, service in compose()["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source[0] in "./$" or source in compose()["volumes"], f"{name}: {volume}"
        assert set(service.get("secrets", [])) <= set(compose()["secrets"]), name
        assert set(service.get("depends_on", {})) <= set(compose()["services"]), name


def test_images_of_others_are_pinned_to_a_version():
    for name in OTHERS:
        tag = compose()["services"][name]["image"].partition(":")[2]
        assert re.search(r"\d", tag), name


def test_files_that_are_mounted_exist():
    for service in compose()["services"].values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (ROOT / Path(volume.split(":")[0])).exists()
