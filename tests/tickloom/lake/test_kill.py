"""F12: a writer that is killed leaves what was there, or what it wrote, never a part."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from tests.tickloom.lake.writer import write_artifact
from tickloom.contracts.artifact import Manifest, Part
from tickloom.lake import Lake


def run_nursery(*arguments: object) -> list[int]:
    command = [sys.executable, "-m", "tests.tickloom.lake.writer", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]


def check_whole(folder: Path) -> int:
    """Assert that everything with a name is whole, and return how many manifests there are."""
    lake, n_manifests = Lake(str(folder)), 0
    for path in (folder / "objects").rglob("*"):
        assert path.is_dir() or sha256(path.read_bytes()).hexdigest() == path.name
    for kind, model in (("parts", Part), ("manifests", Manifest)):
        for path in (folder / kind).rglob("*.json"):
            for entry in model.model_validate_json(path.read_bytes()).files:
                assert len(lake.read_bytes(entry)) == entry.bytes
            n_manifests += kind == "manifests"
    return n_manifests


def contents(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("tmp/")}


def test_killed_before_each_system_call_in_turn_a_writer_leaves_old_or_new_and_a_second_one_finishes(
    tmp_path: Path,
) -> None:
    codes = run_nursery("every", tmp_path)
    assert codes[-1] == 0
    assert len(codes) > 30
    assert set(codes[:-1]) == {-9}
    undisturbed = contents(tmp_path / f"{len(codes):03}")
    seen = set()
    for die_at in range(1, len(codes) + 1):
        folder = tmp_path / f"{die_at:03}"
        seen.add(check_whole(folder))
        write_artifact(Lake(str(folder)), 0)
        assert contents(folder) == undisturbed
    assert seen == {0, 1}


def test_thirty_writers_killed_at_random_leave_nothing_half_and_the_last_one_leaves_everything(tmp_path: Path) -> None:
    codes = run_nursery("random", tmp_path, 30, 12)
    assert codes == [-9] * 30
    n_manifests = check_whole(tmp_path / "lake")
    assert n_manifests > 0
    lake, fresh = Lake(str(tmp_path / "lake")), Lake(str(tmp_path / "fresh"))
    for number in range(n_manifests + 1):
        assert write_artifact(lake, number) == write_artifact(fresh, number)
    killed, undisturbed = contents(tmp_path / "lake"), contents(tmp_path / "fresh")
    assert all(undisturbed[name] == data for name, data in killed.items() if name in undisturbed)
    assert set(undisturbed) <= set(killed)
