"""Live status for any number of clients: one loop reads the ledger for all of them, as long as anybody watches."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import structlog
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError

from api_gateway.models import TaskStatus
from api_gateway.status import task_status
from tickloom.ledger import ledger_url, runs
from tickloom.ledger.models import ACTIVE

log = structlog.get_logger()
PERIOD_S = 0.25


class Live:
    """Hands out the changes of runs. Lives on the event loop."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Queue[TaskStatus]]] = {}
        self._pump: asyncio.Task[None] | None = None

    async def watch(self, status: TaskStatus) -> AsyncIterator[TaskStatus]:
        """Yield a task's status as it is, and after each change, until it has ended."""
        run_id = status.task_id
        news: asyncio.Queue[TaskStatus] = asyncio.Queue()
        self._watchers.setdefault(run_id, set()).add(news)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._read_for_all())
        try:
            yield status
            while status.state in ACTIVE:
                latest = await news.get()
                if latest != status:
                    status = latest
                    yield status
        finally:
            self._watchers[run_id].discard(news)
            if not self._watchers[run_id]:
                del self._watchers[run_id]

    async def _read_for_all(self) -> None:
        while self._watchers:
            await asyncio.sleep(PERIOD_S)
            try:
                statuses = await run_in_threadpool(_statuses, list(self._watchers))
            except SQLAlchemyError as error:  # whoever watches must not be forgotten: the next look may succeed
                log.warning("the ledger is away", error=str(error))
                continue
            for status in statuses:
                for news in self._watchers.get(status.task_id, ()):
                    news.put_nowait(status)


def _statuses(run_ids: Sequence[str]) -> list[TaskStatus]:
    return [task_status(run, stages) for run, stages in runs.read_all(ledger_url(), run_ids)]


live = Live()
