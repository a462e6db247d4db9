"""Names made from content: equal requests are one computation, and equal bytes are one file.

Canonical JSON is UTF-8, keys sorted, no spaces, floats by repr, no NaN. Its SHA-256 names requests, partitions and
artifacts; the SHA-256 of the bytes names files.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def canonical(value: Any) -> bytes:
    """Return the one JSON text of `value`. Raises ValueError on NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of `value`, 64 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def artifact_id(stage: str, version: int, request: dict[str, Any], inputs: Sequence[str]) -> str:
    """Return the id of what a stage makes of a request and its inputs, before it is made."""
    return digest({"stage": stage, "version": version, "request": request, "inputs": list(inputs)})


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of the file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
