"""The memory of every process of a running system, watched from outside."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

EVERY_S = 0.5


@dataclass
class Kind:
    """Processes of one kind: the most of them at a time, and the most memory of one of them, in megabytes.

    RSS counts shared pages in full, PSS a page that n processes share as an n-th. The peak of RSS is the kernel's own
    and so exact; that of PSS is what was seen.
    """

    n: int = 0
    rss_mb: float = 0.0
    pss_mb: float = 0.0


@dataclass
class Watch:
    """What has been seen: kinds of processes by name, and the most that all had together."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    total_pss_mb: float = 0.0

    def look(self, processes: list[psutil.Process], part_of: Callable[[psutil.Process], str]) -> None:
        """Look at these processes once."""
        found: dict[str, list[tuple[float, float]]] = {}
        for process in processes:
            with suppress(psutil.Error, OSError, ValueError, KeyError):
                name, memory = name_of(process, part_of(process)), _memory(process.pid)
                found.setdefault(name, []).append(memory)
        for name, memories in found.items():
            kind = self.kinds.setdefault(name, Kind())
            kind.n = max(kind.n, len(memories))
            kind.rss_mb = max(kind.rss_mb, *(rss for rss, _ in memories))
            kind.pss_mb = max(kind.pss_mb, *(pss for _, pss in memories))
        together = sum(pss for memories in found.values() for _, pss in memories)
        self.total_pss_mb = max(self.total_pss_mb, together)


def name_of(process: psutil.Process, part: str) -> str:
    """Return what to call a process: its part, and within Ray which of its many programs it is."""
    if part != "ray":
        return part
    title = (process.cmdline() or [""])[0].strip()
    if title.startswith("ray::"):
        return "ray: agent" if "Agent" in title else "ray: worker"
    return f"ray: {_program(process)}"


def _program(process: psutil.Process) -> str:
    """Return the name of a program; of one in Python, that of its module."""
    words, name = process.cmdline(), process.name()
    scripts = [Path(word) for word in words if word.endswith(".py")]
    if name.startswith("ray-dashboard-"):
        return "dashboard module"
    if scripts:
        return f"{scripts[0].parent.name}/{scripts[0].stem}"
    return words[words.index("-m") + 1] if "-m" in words else name


def _memory(pid: int) -> tuple[float, float]:
    """Return the peak of RSS and the PSS of now, in megabytes. Linux alone tells them."""
    return _field(f"/proc/{pid}/status", "VmHWM:"), _field(f"/proc/{pid}/smaps_rollup", "Pss:")


def _field(path: str, name: str) -> float:
    line = next(line for line in Path(path).read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024 / 1e6


@contextmanager
def watched(look: Callable[[Watch], None]) -> Iterator[Watch]:
    """Look every half second, and once more at the end, while the block runs."""
    watch, over = Watch(), threading.Event()

    def go() -> None:
        os.nice(5)  # of this thread alone: what is watched comes first
        while not over.wait(EVERY_S):
            look(watch)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        yield watch
        time.sleep(EVERY_S)
    finally:
        over.set()
        thread.join()
        with suppress(psutil.Error, OSError):
            look(watch)
