"""The Celery app: `celery -A worker.app worker --pool threads`. One task, one queue per stage."""

from typing import Any

from celery.signals import worker_init, worker_ready, worker_shutting_down

from tickloom import queue
from tickloom.contracts.stages import STAGES
from tickloom.ledger import ledger_url, migrate
from tickloom.telemetry import configure_logging
from worker.reconciler import Reconciler
from worker.stage import stopping, work

app = queue.celery_app()
_reconciler = Reconciler()


def run_stage(run_id: str, stage: str) -> None:
    """Work on one stage of a run. What comes of it is in the ledger."""
    work(run_id, stage)
    queue.send_due()


for _stage in STAGES:  # one task under a name for each stage, which is what Flower shows
    app.task(run_stage, name=queue.task_name(_stage), ignore_result=True)


@worker_init.connect  # type: ignore[untyped-decorator]
def _prepare(**_: Any) -> None:
    configure_logging("worker")
    migrate(ledger_url())


@worker_ready.connect  # type: ignore[untyped-decorator]
def _start(**_: Any) -> None:
    _reconciler.start()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _stop(**_: Any) -> None:
    stopping.set()
    _reconciler.stop()
