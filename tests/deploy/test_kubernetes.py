"""deploy/k8s: what kubectl renders is valid, complete and confined."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import ROOT, rendered, run
from tickloom.contracts.stages import STAGES
from tickloom.settings import Settings


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    return rendered(tmp_path_factory.mktemp("k8s"))


@pytest.fixture(scope="module")
def objects(manifest) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(manifest.read_text()))


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return every pod template, those inside the RayCluster too."""
    templates = {name: found["spec"]["template"] for name, found in of_kind(objects, "Deployment").items()}
    ray = of_kind(objects, "RayCluster")["ray"]["spec"]
    groups = {group["groupName"]: group["template"] for group in ray["workerGroupSpecs"]}
    return templates | {"ray-head": ray["headGroupSpec"]["template"]} | groups


def validate(path: Path) -> None:
    result = run("kubernetes-validate", "-k", "1.32", "--strict", str(path))
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_object_is_valid(manifest):
    validate(manifest)


def test_the_pods_inside_the_ray_cluster_are_valid(objects, tmp_path):
    # The validator knows no RayCluster: its pods are looked at as pods.
    made = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, **template["metadata"]},
            "spec": template["spec"],
        }
        for name, template in pods(objects).items()
    ]
    (tmp_path / "pods.yaml").write_text(yaml.safe_dump_all(made))
    validate(tmp_path / "pods.yaml")


def test_every_part_is_there(objects):
    assert set(of_kind(objects, "Deployment")) == {"gateway", "worker", "flower", *STAGES}
    assert set(of_kind(objects, "Service")) == {"gateway", *STAGES}


def test_each_stage_runs_its_own_service_and_is_found_under_its_name(objects):
    for stage in STAGES:
        template = of_kind(objects, "Deployment")[stage]["spec"]["template"]
        assert template["metadata"]["labels"]["app.kubernetes.io/name"] == stage
        assert template["spec"]["containers"][0]["args"][1] == "services.$(STAGE).api:app"
        assert of_kind(objects, "Service")[stage]["spec"]["selector"]["app.kubernetes.io/name"] == stage


def test_every_setting_that_is_set_exists_and_can_be_read(objects, monkeypatch):
    values = dict(of_kind(objects, "ConfigMap")["tickloom"]["data"])
    names = set(values) | set(of_kind(objects, "Secret")["tickloom"]["data"])
    for pod in pods(objects).values():
        names |= {row["name"] for row in pod["spec"]["containers"][0].get("env", [])}
    used = {name for name in names if name.startswith("TICKLOOM_")}
    assert {"TICKLOOM_LEDGER_URL", "TICKLOOM_BROKER_URL", "TICKLOOM_LAKE_URL", "TICKLOOM_API_TOKEN"} <= used
    assert used <= {f"TICKLOOM_{name.upper()}" for name in Settings.model_fields}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert {settings.service(stage) for stage in STAGES} == {f"http://{stage}:8100" for stage in STAGES}
    assert settings.ray_endpoint() == ("ray-head-svc", 10001)


def test_every_pod_is_confined_and_limited(objects):
    for name, pod in pods(objects).items():
        spec, container = pod["spec"], pod["spec"]["containers"][0]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
        assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
        assert container["resources"]["limits"]["memory"], name
        assert container["livenessProbe"], name


def test_pods_run_the_image_that_kustomize_was_told(objects):
    assert {pod["spec"]["containers"][0]["image"] for pod in pods(objects).values()} == {"tickloom:0.1.0"}


def test_ray_is_the_version_that_the_image_has(objects):
    locked = (ROOT / "deploy" / "requirements.lock").read_text()
    version = of_kind(objects, "RayCluster")["ray"]["spec"]["rayVersion"]
    assert f"ray[default]=={version} " in locked or f"ray=={version} " in locked


def test_nobody_is_let_in_but_by_name(objects):
    policies = of_kind(objects, "NetworkPolicy")
    assert policies["nobody-by-default"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    for name, policy in policies.items():
        for rule in policy["spec"].get("ingress", []):
            assert rule.get("from"), f"{name} lets everybody in"


def test_no_secret_is_in_the_repository():
    for name in ("secrets.env", "service_token", "ray_token"):
        assert name in (ROOT / "deploy" / "k8s" / ".gitignore").read_text().split()
