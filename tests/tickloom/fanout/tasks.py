"""Tasks for the fan-out's tests: module-level functions, as all tasks are."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tickloom.errors import MissingPartition
from tickloom.fanout import Kept


def square(x: int) -> int:
    return x * x


def keep(x: int) -> Kept[int]:
    """Return x squared, and keep as many numbers."""
    return Kept(x * x, np.arange(x))


def use(x: int, kept: "np.ndarray[Any, Any] | None" = None) -> tuple[int, int | None]:
    return x, None if kept is None else int(kept.sum())


def nap(seconds: float, answer: Any) -> Any:
    time.sleep(seconds)
    return answer


def get_on(mark: str, times: int, seconds: float) -> int:
    """Give a sign of life again and again, with pauses."""
    for _ in range(times):
        Path(mark).touch()
        time.sleep(seconds)
    return times


def add(total: int | None, x: int, seconds: float) -> int:
    time.sleep(seconds)
    return (total or 0) * 10 + x


def where(_: int) -> str:
    """Tell what runs this task: 'ray', or 'pool'."""
    import ray

    return "ray" if ray.is_initialized() else "pool"


def missing() -> None:
    raise MissingPartition("trades", "2022-01-03")


def fail(text: str) -> None:
    raise KeyError(text)


def leave_pid_and_sleep(folder: str, name: str) -> None:
    (Path(folder) / name).write_text(str(os.getpid()))
    time.sleep(120)


def die_the_first_time(folder: str, answer: int) -> int:
    """Be killed while at work, once."""
    mark = Path(folder) / str(answer)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return answer


def die_always(folder: str) -> None:
    with (Path(folder) / "tries").open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def exit_quietly() -> None:
    sys.exit(3)


class NeedsMore(Exception):
    """An error that cannot be made again from its args."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)
        self.two = two


def fail_unsendably() -> None:
    raise NeedsMore("what went wrong", "more")


def answer_unsendably() -> Any:
    return lambda: 1


def interrupted() -> str:
    """Tell what Ctrl-C would do to this process."""
    return repr(signal.getsignal(signal.SIGINT))
