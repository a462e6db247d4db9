"""The image: its file is clean, its packages are the tested ones, its small programs do what they say."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.deploy.files import ROOT, run

DEPLOY = ROOT / "deploy"
HEALTHCHECK = DEPLOY / "healthcheck.py"


def test_hadolint_finds_nothing():
    result = run("hadolint", "deploy/Dockerfile")
    assert result.returncode == 0, result.stdout


def pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+(?:\[[a-z,]+\])?)==([^\s;]+)", text, re.MULTILINE))


def test_the_image_gets_the_packages_that_the_tests_ran_with():
    image, tested = (pinned((ROOT / name).read_text()) for name in ("deploy/requirements.lock", "requirements.lock"))
    assert len(image) > 100
    assert {name: tested.get(name) for name in image} == image
    assert "pytest" not in image


@pytest.mark.parametrize("name", ["requirements.lock", "installer.lock"])
def test_locks_have_a_hash_for_every_package_and_name_no_registry(name):
    text = (DEPLOY / name).read_text()
    for block in re.split(r"\n(?=[a-z0-9])", text.strip()):
        assert "--hash=sha256:" in block, block
    assert "://" not in text
    assert "--index-url" not in text


def test_what_the_image_copies_is_let_into_the_build():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY") and "--from" not in line:
            copied.update(word for word in line.split()[1:-1] if not word.startswith("--"))
    assert copied
    assert copied <= allowed
    assert all((ROOT / name).exists() for name in copied)


def entrypoint(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    script = ["sh", str(DEPLOY / "entrypoint.sh"), *command]
    return subprocess.run(script, env={**os.environ, **environment}, capture_output=True, text=True, timeout=20)


def test_a_part_starts_when_its_secrets_can_be_read(tmp_path):
    (tmp_path / "token").write_text("secret")
    result = entrypoint("echo", "up", TICKLOOM_SERVICE_TOKEN_FILE=str(tmp_path / "token"))
    assert (result.returncode, result.stdout) == (0, "up\n")


@pytest.mark.parametrize("content", [None, ""])
@pytest.mark.parametrize("name", ["TICKLOOM_SERVICE_TOKEN_FILE", "RAY_AUTH_TOKEN_PATH"])
def test_a_part_refuses_to_start_without_a_secret_that_it_was_promised(tmp_path, name, content):
    if content is not None:
        (tmp_path / "token").write_text(content)
    result = entrypoint("echo", "up", **{name: str(tmp_path / "token")})
    assert result.returncode == 78
    assert "deploy/secrets.sh" in result.stderr
    assert "up" not in result.stdout


def test_secrets_are_made_once_and_are_random(tmp_path):
    (tmp_path / "deploy").mkdir()
    shutil.copy(DEPLOY / "secrets.sh", tmp_path / "deploy")
    shutil.copy(ROOT / ".env.example", tmp_path)
    made = [_make_secrets(tmp_path) for _ in range(2)]
    assert made[0] == made[1]
    values = [line.split("=", 1)[1] for line in made[0][".env"].splitlines() if line and line[0] != "#"]
    random = [value.split(":")[-1] for value in values if len(value) >= 64]
    assert len(random) == len(set(random)) == 6
    assert "CHANGE-ME" not in "\n".join(values)
    assert len(made[0]["service_token"]) == 64
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "deploy" / "secrets").stat().st_mode & 0o777 == 0o700


def _make_secrets(folder):
    subprocess.run(["sh", folder / "deploy" / "secrets.sh"], check=True, capture_output=True, timeout=20)
    files = [folder / ".env", *(folder / "deploy" / "secrets").iterdir()]
    return {file.name: file.read_text() for file in files}


class _Well(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 500)
        self.end_headers()

    def log_message(self, *_):
        pass


def healthcheck(*arguments: str) -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, HEALTHCHECK, *arguments], env=environment, timeout=30).returncode


def test_the_health_check_tells_a_well_part_from_a_sick_one():
    server = HTTPServer(("127.0.0.1", 0), _Well)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = str(server.server_port)
    try:
        assert healthcheck("http", port) == 0
        assert healthcheck("http", port, "/broken") == 1
    finally:
        server.shutdown()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert healthcheck("http", str(free.getsockname()[1])) == 1
