"""What a log line holds, and what happens where it cannot be written."""

import subprocess
import sys

PROGRAM = """
import os, sys, threading
import structlog
from tickloom.telemetry import configure_logging
configure_logging("worker")
log = structlog.get_logger()
if sys.argv[1] == "full":
    os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
thread = threading.Thread(target=lambda: log.warning("it happened", run="a1"))
thread.start()
thread.join()
log.warning("again")
print("alive")
os._exit(0)
"""


def run(how: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, timeout=60)


def test_a_line_of_any_thread_names_its_part():
    first, second = run("").stderr.splitlines()
    assert "part='worker' event='it happened' run='a1'" in first
    assert "part='worker' event='again'" in second


def test_a_full_disk_loses_the_line_and_not_the_work():
    assert run("full").stdout == "alive\n"
