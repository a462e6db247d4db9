"""The simulator, and a record of what it was asked for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import uvicorn

from exchange_sim.app import create_app
from exchange_sim.config import SimSettings
from tests.services.serving import served


class Counted:
    """Passes requests on; `asked` has when each came, its path, and the status that it was answered with."""

    def __init__(self, folder: Path) -> None:
        self.app = create_app(SimSettings(folder, {}, quiet=True, today=lambda: date(2024, 3, 10)))
        self.asked: list[tuple[float, str, int]] = []
        self.address = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        began = time.monotonic()

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.asked.append((began, scope["path"], message["status"]))
            await send(message)

        await self.app(scope, receive, sending)

    def archives(self) -> list[str]:
        """Return the names of the archives that were delivered, in order, their CHECKSUMs left out."""
        return [path.rpartition("/")[2] for _, path, status in self.asked if path.endswith(".zip") and status == 200]


@contextmanager
def counted_exchange(folder: Path) -> Iterator[Counted]:
    """Serve a simulator whose today is 2024-03-10."""
    counted = Counted(folder)
    with served(uvicorn.Config(counted, log_level="warning", lifespan="off")) as counted.address:
        yield counted
