"""The Makefile: what a newcomer meets first."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.conftest import REPOSITORY


def make(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    # As from a shell: `make test` would otherwise make this a make within a make, which tells where it goes.
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    command = ["make", *words]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False, timeout=60)


def checkout(folder: Path) -> Path:
    """A folder that looks like a fresh clone to make."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy2(REPOSITORY / name, folder / name)
    return folder


def test_help_is_the_default_and_lists_every_target() -> None:
    text = (REPOSITORY / "Makefile").read_text()
    answer = make(REPOSITORY)
    assert answer.returncode == 0
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    assert {"setup", "demo", "up", "test", "check", "lock", "chaos", "bench", "clean"} <= set(phony[1].split())
    for target in phony[1].split():
        assert re.search(rf"^  make {target} +\S", answer.stdout, re.MULTILINE), target


def test_a_python_that_is_too_old_or_missing_is_named(tmp_path: Path) -> None:
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\ncase \"$1\" in --version) echo 'Python 3.9.2';; *) exit 1;; esac\n")
    old.chmod(0o755)
    answer = make(checkout(tmp_path), "setup", f"PYTHON={old}")
    assert answer.returncode == 2
    assert "needs Python 3.11 or newer" in answer.stderr
    assert "Python 3.9.2" in answer.stderr
    assert "PYTHON=python3" in answer.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_python_without_venv_says_which_package_is_missing(tmp_path: Path) -> None:
    lame = tmp_path / "lame-python"
    lame.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *) exit 0;; esac\n')
    lame.chmod(0o755)
    answer = make(checkout(tmp_path), "demo", f"PYTHON={lame}")
    assert answer.returncode == 2
    assert "apt-get install python3-venv" in answer.stderr


def test_an_installed_checkout_is_not_installed_again(tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    (folder / ".venv").mkdir()
    stamp = folder / ".venv" / ".installed"
    stamp.touch()
    assert make(folder, "setup").stdout == "setup: .venv is what requirements.lock says\n"
    dry = make(folder, "-n", "up", "VENUE=sim").stdout
    assert dry == ".venv/bin/tickloom up --venue sim\n"
    later = stamp.stat().st_mtime + 1  # not by the clock, which may step back meanwhile
    os.utime(folder / "requirements.lock", (later, later))
    assert "--require-hashes" in make(folder, "-n", "setup").stdout


def test_ci_ends_with_the_tests() -> None:
    script = REPOSITORY / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(script)], check=True)
    lines = script.read_text().splitlines()
    assert lines[-1] == "exec make test"
    assert "set -euo pipefail" in lines
