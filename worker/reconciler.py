"""What makes the promises hold when something was lost: sends what was not sent, ends leases that ran out, rings again
for stages that nobody came for. Any number of workers may run it at once.
"""

import threading
import time

import structlog
from kombu.exceptions import OperationalError
from sqlalchemy.exc import SQLAlchemyError

from tickloom import queue
from tickloom.ledger import leases, ledger_url
from tickloom.settings import settings

log = structlog.get_logger()
TICK_S = 0.5


class Reconciler(threading.Thread):
    """A thread of the worker."""

    def __init__(self) -> None:
        super().__init__(name="reconciler", daemon=True)
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stop_asked.set()

    def run(self) -> None:
        next_sweep = 0.0
        while not self._stop_asked.wait(TICK_S):
            try:
                queue.send_due()
                if time.monotonic() >= next_sweep:
                    next_sweep = time.monotonic() + settings().reconcile_s
                    sweep()
            except (OperationalError, OSError) as error:
                log.warning("the broker is away", error=str(error))
            except SQLAlchemyError as error:
                log.warning("the ledger is away", error=str(error))
            except Exception as error:  # the promises hang on this thread: it outlives what nobody has thought of
                log.error("a round of the reconciler failed", exc_info=error)


def sweep() -> None:
    """End expired leases, and ring again where a message was lost: the stage is ready, but its queue is empty."""
    ended = leases.expire(ledger_url(), settings().max_attempts)
    if ended:
        log.warning("leases expired", count=ended)
    for stage, run_ids in leases.overdue(ledger_url()).items():
        if queue.depth(stage) == 0:
            leases.resend(ledger_url(), stage, run_ids)
