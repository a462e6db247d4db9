"""Telling the user what a download waits for: its tasks wait in processes of their own, but all share one limiter."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tickloom.errors import StageCancelled
from tickloom.limiter import Limiter, Turn

LOOK_S = 0.5
WORTH_TELLING_S = 1.0


@contextmanager
def telling(
    limiter: Limiter, host: str, tell: Callable[[str], None], warn: Callable[[str], None], look_s: float = LOOK_S
) -> Iterator[None]:
    """While the body runs, tell why the host is not asked just now, and tell "" when it is again.

    warn  hears of a limit that is not shared with other processes, because its store is away
    """
    done = threading.Event()

    def watch() -> None:
        told = ""
        while not done.wait(look_s):
            turn = limiter.standing(host)
            if not turn.shared:
                warn(f"{host} is asked slowly: the limit that all processes share cannot be reached (Redis)")
            reason = _reason(limiter, host, turn)
            if reason != told:
                told = reason
                try:
                    tell(reason)
                except StageCancelled:  # whoever runs the body finds out too
                    return

    thread = threading.Thread(target=watch, name="telling", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _reason(limiter: Limiter, host: str, turn: Turn) -> str:
    if turn.pause is not None:
        return f"waiting for {host}: asked to pause until {turn.pause}"
    if turn.wait_s > WORTH_TELLING_S:
        return f"waiting for {host}: at the limit of {limiter.per_minute(host):,} requests a minute"
    return ""
