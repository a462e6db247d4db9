"""The queue: Celery on Redis, one queue per stage. A message carries a run id and a stage, nothing else.

The broker is a doorbell, the ledger is the record: a message that is lost is sent again, one that comes twice finds
the stage taken.
"""

import threading
from functools import lru_cache

import structlog
from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from sqlalchemy.exc import SQLAlchemyError

from tickloom.contracts.stages import STAGES
from tickloom.ledger import leases, ledger_url
from tickloom.settings import settings

log = structlog.get_logger()


@lru_cache(maxsize=1)
def celery_app() -> Celery:
    """Return the Celery app of the settings."""
    app = Celery("tickloom", broker=settings().broker())
    app.conf.update(
        task_ignore_result=True,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        result_accept_content=["json"],
        # Acknowledged as it is taken: what a dead worker leaves behind is found by its lease. A message held until its
        # task ends would crash the worker when the broker goes away (kombu restores it over a closed connection).
        task_acks_late=False,
        task_track_started=True,
        task_queues=[Queue(stage) for stage in STAGES],  # type: ignore[no-untyped-call]
        task_create_missing_queues=False,
        task_default_queue=STAGES[0],
        task_send_sent_event=True,
        worker_send_task_events=True,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_redirect_stdouts=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=15,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": 300,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
    )
    return app


def task_name(stage: str) -> str:
    """Return what Celery, and so Flower, calls the task of a stage."""
    return f"tickloom.{stage}"


def send_due() -> int:
    """Hand the outbox's due messages to the broker; return how many. While it is away they stay where they are."""
    sent: list[tuple[str, str]] = []
    try:
        for run_id, stage in leases.unsent(ledger_url()):
            celery_app().send_task(task_name(stage), args=[run_id, stage], queue=stage, retry=False, ignore_result=True)
            sent.append((run_id, stage))
    except (OperationalError, OSError) as error:
        log.warning("the broker is away; messages wait in the outbox", error=str(error))
    if sent:
        leases.mark_sent(ledger_url(), sent)
    return len(sent)


class _Sender(threading.Thread):
    """Sends what is due as soon as it is told to; while the broker is away, nobody has to wait for it."""

    def __init__(self) -> None:
        super().__init__(name="sender", daemon=True)
        self.bell = threading.Event()

    def run(self) -> None:
        while True:
            self.bell.wait()
            self.bell.clear()
            try:
                send_due()
            except SQLAlchemyError as error:  # the reconciler will send it
                log.warning("the ledger is away", error=str(error))
            except Exception as error:  # and this thread will send the next one
                log.error("could not send", exc_info=error)


@lru_cache(maxsize=1)
def _sender() -> _Sender:
    sender = _Sender()
    sender.start()
    return sender


def ring() -> None:
    """Have the outbox sent soon, and return at once."""
    _sender().bell.set()


def depth(stage: str) -> int:
    """Return how many messages wait in a stage's queue. Raises OperationalError when the broker is away."""
    with celery_app().connection_for_read() as connection:
        return int(connection.default_channel.client.llen(stage))
