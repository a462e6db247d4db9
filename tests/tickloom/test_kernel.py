"""Compiled kernels are kept on disk, and renewed when anything changes that they were compiled with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

INNER = "from tickloom.kernel import kernel\n\nRATE = {rate}\n\n@kernel\ndef twice(x):\n    return {twice}\n"
OUTER = (
    "from inner import RATE, twice\nfrom tickloom.kernel import kernel\n\n"
    "@kernel\ndef outer(x):\n    return RATE * twice(x)\n"
)
RUN = "from outer import outer; print(outer(10), sum(outer.stats.cache_hits.values()))"


def run(folder: Path, rate: int, twice: str) -> list[int]:
    """Return what outer(10) is in a new process, and how often its compiled form came from disk."""
    for name, text in (("inner.py", INNER.format(rate=rate, twice=twice)), ("outer.py", OUTER)):
        if not (folder / name).exists() or (folder / name).read_text() != text:
            (folder / name).write_text(text)
    root = Path(__file__).resolve().parents[2]
    env = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA")} | {"PYTHONPATH": f"{folder}:{root}"}
    done = subprocess.run([sys.executable, "-c", RUN], env=env, capture_output=True, text=True, check=True, timeout=120)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize(
    ("rate", "twice", "expected"), [(1, "3 * x", 30), (5, "2 * x", 100)], ids=["kernel", "constant"]
)
def test_a_kernel_is_compiled_anew_when_what_it_imports_changes(
    rate: int, twice: str, expected: int, tmp_path: Path
) -> None:
    assert run(tmp_path, 1, "2 * x") == [20, 0]
    assert run(tmp_path, 1, "2 * x") == [20, 1]
    assert run(tmp_path, rate, twice) == [expected, 0]
