"""The places where tasks run."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(params=["inline", "pool", "ray"])
def anywhere(request: pytest.FixtureRequest, home: Path) -> dict[str, Any]:
    """Options for a map that runs here, on the local pool, or on Ray."""
    if request.param == "ray":
        request.getfixturevalue("use_ray")
    return {"small": request.param == "inline"}


@pytest.fixture(params=["pool", "ray"])
def elsewhere(request: pytest.FixtureRequest, home: Path) -> str:
    """Maps run on the local pool, or on Ray."""
    if request.param == "ray":
        request.getfixturevalue("use_ray")
    return str(request.param)
