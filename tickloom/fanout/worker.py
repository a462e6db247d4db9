"""What runs in each process of the local pool: read a call, make it, send what came of it.

Started as `python -m tickloom.fanout.worker <file descriptor>`. A thread listens all the while, so that the process
ends with its parent, also in the middle of a task.
"""

import os
import queue
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler


def outcome(call: bytes) -> tuple[bool, object]:
    """Return (True, result) of a call, or (False, error): any error, and one that the parent can read."""
    try:
        function, args = ForkingPickler.loads(call)
        return True, function(*args)
    except Exception as error:
        error.add_note("In a local process:\n" + traceback.format_exc())
        return False, error if _travels(error) else RuntimeError(f"{type(error).__name__}: {error}")
    except BaseException as error:  # a panic in a Rust library, or sys.exit
        return False, RuntimeError(f"{type(error).__name__}: {error}")


def _travels(error: Exception) -> bool:
    try:
        return type(ForkingPickler.loads(ForkingPickler.dumps(error))) is type(error)
    except Exception:
        return False


def _listen(connection: "Connection[bytes, bytes]", calls: "queue.SimpleQueue[bytes]") -> None:
    try:
        while True:
            calls.put(connection.recv_bytes())
    except (EOFError, OSError):
        os._exit(0)  # nobody is left to work for


def main() -> None:
    """Serve until the parent goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    connection: Connection[bytes, bytes] = Connection(int(sys.argv[1]))
    sys.path[:] = connection.recv_bytes().decode().split("\0")
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, calls), daemon=True).start()
    while True:
        answer = outcome(calls.get())
        try:
            data = ForkingPickler.dumps(answer)
        except Exception as error:
            data = ForkingPickler.dumps((False, RuntimeError(f"a result cannot be sent: {error}")))
        connection.send_bytes(data)


if __name__ == "__main__":
    main()
