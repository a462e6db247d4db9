"""The one way to spread work over processes: Ray where it can be had, else a pool of local processes.

Tasks are module-level functions over paths and parameters; results are small. A task may run twice (a worker died),
so a task publishes only under names made from content. The same results come out, in whatever order tasks finish.

    task.py     what a task is, and what a place to run it must offer
    fold.py     the loop: bounded in flight, deadlines, cancellation, what was lost runs again
    local.py    processes of this machine; worker.py is what runs in each
    cluster.py  Ray, and how to outlive its head
"""

from tickloom.fanout.cluster import NO_RAY
from tickloom.fanout.fold import fold_chains, inline, map_unordered, place
from tickloom.fanout.task import Kept, Place, Task, cpus

__all__ = ["NO_RAY", "Kept", "Place", "Task", "cpus", "fold_chains", "inline", "map_unordered", "place"]
