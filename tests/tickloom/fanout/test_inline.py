"""Jobs within a task run their own tasks on the spot."""

import os

from tickloom.fanout import Place, Task, inline, map_unordered, place


def test_tasks_run_here_within_inline() -> None:
    with inline():
        assert place() == Place(1, False)
        assert list(map_unordered([Task("pid", os.getpid, ())])) == [(0, os.getpid())]
