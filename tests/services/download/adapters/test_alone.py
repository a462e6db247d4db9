"""Whoever waits for another's work gets on while that work gets on."""

import threading
import time
from pathlib import Path

from services.download.adapters.alone import alone


def test_those_that_wait_for_an_archive_get_on_while_it_gets_on(tmp_path: Path) -> None:
    beats: list[int] = []
    begun, done = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        with alone(tmp_path, "key", lambda: beats.append(1)):
            done.set()

    with alone(tmp_path, "key") as getting_on:
        threading.Thread(target=wait).start()
        begun.wait(10)
        for wanted in (1, 2, 3):
            until = time.monotonic() + 10
            while len(beats) < wanted and time.monotonic() < until:
                getting_on()
                time.sleep(0.05)
        assert not done.is_set()
    assert done.wait(10)
    assert len(beats) >= 3
