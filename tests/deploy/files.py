"""The deploy files as the tests read them."""

import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy" / "k8s"
TOOLS = Path(sys.executable).parent


def run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a checker of the development environment from the repository's root."""
    return subprocess.run([TOOLS / tool, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


@lru_cache
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def ours() -> dict[str, dict[str, Any]]:
    """Return the services that run our image."""
    return {name: service for name, service in compose()["services"].items() if "build" in service}


def rendered(folder: Path) -> Path:
    """Return the file that kubectl renders from deploy/k8s with secrets filled in."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("NO KUBECTL: the manifests are rendered by `kubectl kustomize`")
    copy = shutil.copytree(K8S, folder / "k8s", ignore=shutil.ignore_patterns("secrets.env", "*_token"))
    shutil.copy(copy / "secrets.env.example", copy / "secrets.env")
    for name in ("service_token", "ray_token"):
        (copy / name).write_text("a secret")
    out = subprocess.run([kubectl, "kustomize", copy], capture_output=True, text=True, timeout=60, check=True).stdout
    (folder / "all.yaml").write_text(out)
    return folder / "all.yaml"
