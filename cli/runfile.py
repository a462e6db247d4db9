"""What a supervisor writes down about itself: who runs, where, and since when. In <home>/run.json.

A lock on <home>/supervisor.lock says whether it is alive: the kernel drops the lock with the process, however it ends.
"""

import fcntl
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from cli.process import Identity, kill_all, members

SCRATCH_PREFIX = "tickloom-run-"
HALF_WRITTEN = ".run."


@dataclass
class RunFile:
    """A run of the supervisor: `state` is starting, ready or stopping; `parts` has the pid and start of each part."""

    run: str
    pid: int
    venue: str
    gateway: str
    scratch: str
    state: str = "starting"
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def leaders(self) -> list[Identity]:
        """Return the parts' processes, as they were started."""
        return [Identity(part["pid"], part["started"]) for part in self.parts.values() if part.get("pid")]

    def write(self, home: Path) -> None:
        """Write the file whole or not at all."""
        with tempfile.NamedTemporaryFile("w", dir=home, prefix=HALF_WRITTEN, delete=False) as file:
            half = Path(file.name)
        try:
            half.write_text(json.dumps(asdict(self), indent=1))
            half.replace(home / "run.json")
        except OSError:  # a full disk
            half.unlink()
            raise


def read(home: Path) -> RunFile | None:
    """Return what the last supervisor of this home wrote, or None."""
    try:
        return RunFile(**json.loads((home / "run.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def lock(home: Path) -> IO[str] | None:
    """Return the supervisor's lock, held for as long as the file is open, or None when another one holds it."""
    home.mkdir(parents=True, exist_ok=True)
    file = (home / "supervisor.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def running(home: Path) -> RunFile | None:
    """Return the supervisor that is alive on this home, or None."""
    if not (home / "supervisor.lock").exists():
        return None
    mine = lock(home)
    if mine is None:
        return read(home)
    mine.close()
    return None


def sweep(home: Path) -> int:
    """End what a killed supervisor left behind, half-written files too. Return the number of processes ended.

    Call with the lock held.
    """
    for half in home.glob(f"{HALF_WRITTEN}*"):
        half.unlink(missing_ok=True)
    old = read(home)
    if old is None:
        return 0
    count = kill_all(members(old.run, old.leaders()))
    remove_scratch(Path(old.scratch))
    (home / "run.json").unlink(missing_ok=True)
    return count


def make_scratch() -> Path:
    """Return a new folder with a short path, for Ray's sockets: theirs may have 107 bytes, Ray uses 62."""
    short = Path("/tmp")  # noqa: S108  mkdtemp makes an unguessable name with mode 0700 in it
    return Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=short if short.is_dir() else None))


def remove_scratch(folder: Path) -> None:
    """Remove a folder that make_scratch made, and nothing else."""
    if folder.name.startswith(SCRATCH_PREFIX) and folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
