"""Compiled kernels are kept on disk, and renewed when anything changes that they were compiled with."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import config
from numba.core.errors import TypingError

from tickloom.kernel import F64, borrowing, inlined_borrowing

INNER = "from tickloom.kernel import kernel\n\nRATE = {rate}\n\n@kernel\ndef twice(x):\n    return {twice}\n"
OUTER = (
    "from inner import RATE, twice\nfrom tickloom.kernel import kernel\n\n"
    "@kernel\ndef outer(x):\n    return RATE * twice(x)\n"
)
RUN = "from outer import outer; print(outer(10), sum(outer.stats.cache_hits.values()))"

SLOWLY = (
    "import time\nfrom numba.core.caching import IndexDataCacheFile as File\nread = File._load_index\n"
    "File._load_index = lambda file: (read(file), time.sleep(0.7))[0]\n"
)
"""Lets each process look at the index long before it writes what it makes of it."""


def environment(folder: Path) -> dict[str, str]:
    root = Path(__file__).resolve().parents[2]
    return {k: v for k, v in os.environ.items() if not k.startswith("NUMBA")} | {"PYTHONPATH": f"{folder}:{root}"}


def run(folder: Path, rate: int, twice: str) -> list[int]:
    """Return what outer(10) is in a new process, and how often its compiled form came from disk."""
    for name, text in (("inner.py", INNER.format(rate=rate, twice=twice)), ("outer.py", OUTER)):
        if not (folder / name).exists() or (folder / name).read_text() != text:
            (folder / name).write_text(text)
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, env=environment(folder), capture_output=True, text=True, check=True, timeout=120)
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


def test_a_borrowing_kernel_may_make_no_array() -> None:
    @borrowing
    def total(pair: tuple[F64, F64]) -> float:
        return float(pair[0][0] + pair[1][0])

    @borrowing
    def made(n: int) -> F64:
        return np.empty(n)

    assert total((np.array([1.0]), np.array([2.0]))) == 3.0
    if not config.DISABLE_JIT:
        with pytest.raises(TypingError, match="Only accept returning of array passed"):
            made(3)


def test_processes_that_compile_one_kernel_at_once_for_other_types_do_not_mix_up_what_they_keep(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text(INNER.format(rate=1, twice="2 * x"))
    commands = [f"{SLOWLY}from inner import twice\ntwice({value})" for value in ("10", "1.5")]
    compiling = [
        subprocess.Popen([sys.executable, "-c", command], env=environment(tmp_path), stderr=subprocess.PIPE)
        for command in commands
    ]
    for process in compiling:
        assert process.communicate(timeout=120)[1] == b""
    look = "from inner import twice; print(twice(10), twice(1.5), sum(twice.stats.cache_hits.values()))"
    command = [sys.executable, "-c", look]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["20", "3.0", "2"]


def test_a_kernel_is_compiled_once_for_written_numbers_and_all_others() -> None:
    @inlined_borrowing
    def following(i: int, step: int) -> int:
        return i + step

    @borrowing
    def last_below(n: int) -> int:
        i = 0
        while following(i, 1) < n:
            i = following(i, step=1)
        return i

    assert last_below(10) == 9
    if not config.DISABLE_JIT:
        assert len(following.signatures) == 1  # type: ignore[attr-defined]
