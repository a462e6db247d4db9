"""Disks that lie and disks that are full: what is damaged is found and made anew, what does not fit is said so."""

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fault.oracle import BOUND_S, SMALL, Reference, collected, forget, lake_of, request, tree, undisturbed
from tests.fault.system import System
from tickloom.client import RunFailed
from tickloom.lake import maintenance
from tickloom.ledger import runs

SEED = int(os.environ.get("FAULT_SEED", "7"))
DISK_BYTES = 64 << 20
FULL_S = 6.0
"""Longer than a lease and all that is tried again meanwhile."""


def tickloom(system: System, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from cli.main import main; main()", *arguments]
    return subprocess.run(command, env=system.environment, capture_output=True, text=True, timeout=120)


def spoil(path: Path, chance: random.Random) -> None:
    """Flip one bit of a file, or cut its end off."""
    data = bytearray(path.read_bytes())
    if chance.random() < 0.7:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    else:
        del data[chance.randrange(len(data)) :]
    path.write_bytes(data)


def test_F13_a_spoilt_file_is_named_removed_and_made_anew_with_the_same_bytes(system: System) -> None:
    reference, chance, lake = undisturbed(system, request(**SMALL)), random.Random(SEED), system.home / "lake"
    spoilt: dict[str, str] = {}
    for artifact in reference.artifacts:  # one file of each stage
        entry = chance.choice(lake_of(system).manifest(artifact).files)
        name = f"objects/{entry.sha256[:2]}/{entry.sha256}"
        if name not in spoilt:
            spoil(lake / name, chance)
            spoilt[name] = artifact
    found = tickloom(system, "verify", "--json")
    assert found.returncode == 1, found.stderr
    damages = {damage["name"]: damage["artifacts"] for damage in json.loads(found.stdout)["damages"]}
    assert set(damages) == set(spoilt)
    assert all(artifact in damages[name] for name, artifact in spoilt.items())
    told = tickloom(system, "verify").stdout
    assert all(name in told for name in spoilt)
    assert tickloom(system, "verify", "--repair").returncode == 0
    assert not any((lake / name).exists() for name in spoilt)
    run = system.client().pipeline(reference.body)
    assert run.created
    run.wait(BOUND_S)
    assert tickloom(system, "verify").returncode == 0
    assert collected(system) == reference.tree


def test_F13_a_spoilt_input_fails_the_stage_that_reads_it_by_name_and_repair_helps(system: System) -> None:
    reference, lake = undisturbed(system, request(**SMALL)), lake_of(system)
    download = lake.manifest(reference.artifacts[0])
    entry = download.files[0]
    path = Path(lake.url) / "objects" / entry.sha256[:2] / entry.sha256
    spoil(path, random.Random(SEED + 1))
    changed = request(**SMALL)
    changed["bars"] = {"spec": {"kind": "tick", "threshold": 3}}
    with pytest.raises(RunFailed) as failed:
        system.client().pipeline(changed).wait(BOUND_S)
    problem = failed.value.task["error"]
    assert failed.value.task["stage"] == "bars"
    assert entry.name in problem["detail"]
    assert "verify" in problem["next"]
    assert tickloom(system, "verify", "--repair").returncode == 0
    system.client().pipeline(changed).wait(BOUND_S)
    assert tree(Path(lake.url))[f"objects/{entry.sha256[:2]}/{entry.sha256}"] == entry.sha256


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a disk of 64 MiB over a folder; skips, loudly, where that is not allowed."""
    folder.mkdir(exist_ok=True)
    size = f"size={DISK_BYTES}"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tickloom", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"NO SMALL DISK: mounting a tmpfs needs root: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Fill the disk up to `leave` bytes; return the file that does."""
    ballast, space = folder / "ballast", os.statvfs(folder)
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:  # others write at the same time
        file.write(bytes(max(0, space.f_bavail * space.f_frsize - leave)))
    return ballast


def whole(lake: Path) -> list[str]:
    """Return the names in a lake that do not hold what they say: half a file."""
    return [name for name, found in tree(lake).items() if name.startswith("objects/") and Path(name).name != found]


@pytest.mark.parametrize("leave_kb", [0, 200, 2000])
def test_F14_a_full_disk_fails_the_run_by_name_leaves_no_half_file_and_works_again_once_freed(
    small_reference: Reference, system: System, leave_kb: int
) -> None:
    lake, reference = system.home / "lake", small_reference
    with small_disk(lake):
        ballast = fill(lake, leave_kb << 10)
        with pytest.raises(RunFailed) as failed:
            system.client().pipeline(reference.body).wait(BOUND_S)
        problem: dict[str, Any] = failed.value.task["error"]
        assert "No space left" in problem["detail"], problem
        assert problem["next"]
        assert whole(lake) == []
        ballast.unlink()
        assert maintenance.verify(lake_of(system), system.ledger).damages == []
        run = system.client().pipeline(reference.body)
        assert run.created
        run.wait(BOUND_S)
        assert runs.known_artifacts(system.ledger) == set(reference.artifacts)
        assert collected(system) == reference.tree
        forget(system)


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[System]:
    """A system whose home, ledger, queue, logs and lake, is on one small disk."""
    with small_disk(tmp_path / "disk"):
        system = System(tmp_path / "disk" / "home")
        try:
            system.start()
            yield system
            system.stop()
        finally:
            system.close()


def test_F14_a_full_disk_under_everything_loses_nothing_that_was_accepted_and_answers_by_name(
    small_reference: Reference, crowded: System
) -> None:
    disk, client = crowded.home.parent, crowded.client()
    accepted = client.pipeline(small_reference.body)
    crowded.wait_begun(accepted.id, "download")
    ballast = fill(disk, 0)
    url = f"http://127.0.0.1:{crowded.ports['GATEWAY']}"
    end = time.monotonic() + FULL_S
    while time.monotonic() < end:
        refused = httpx.post(f"{url}/submit_pipeline", json=request(**SMALL, mark=1), timeout=90)
        assert refused.status_code == 503, refused.text
        assert refused.json()["next"]
        assert "disk" in refused.text
        assert httpx.get(f"{url}/status/{accepted.id}", timeout=60).status_code == 200
        time.sleep(0.2)
    ballast.unlink()
    crowded.wait_all_up()
    with contextlib.suppress(RunFailed):  # what the disk had no room for fails by name, and is asked for again
        accepted.wait(BOUND_S)
    run = client.pipeline(small_reference.body)
    run.wait(BOUND_S)
    assert collected(crowded) == small_reference.tree
    assert maintenance.verify(lake_of(crowded), crowded.ledger).damages == []
    assert list(crowded.home.glob(".run.*")) == []
