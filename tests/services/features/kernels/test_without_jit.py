"""The compiled kernels and the same functions as plain Python give the same bytes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tests.services.features.kernels.cases import CASES, walk

REPOSITORY = Path(__file__).resolve().parents[4]


def fingerprint() -> str:
    """Return a digest of every kernel's bytes over a walk with a flat stretch, a spike and a hole."""
    market = [x.copy() for x in walk(2500, seed=11, level=100.0)]
    for x in market:
        x[300:420], x[900], x[1500] = 101.5, x[900] * 1e6, float("nan")
    digest = hashlib.sha256()
    for case in CASES:
        for timeperiod in (1, 2, 14, 200):
            digest.update(case.fast(*market, timeperiod).tobytes())
            digest.update(case.fast(*(x[1600:].copy() for x in market), timeperiod).tobytes())
    return digest.hexdigest()


def test_kernels_give_the_same_bytes_compiled_and_as_plain_python() -> None:
    code = "from tests.services.features.kernels.test_without_jit import fingerprint; print(fingerprint())"
    plain = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.strip() == fingerprint()
