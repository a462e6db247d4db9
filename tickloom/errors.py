"""Every error that a user can meet: it says what, which, and what to do next.

An error's `args` are its fields, or neither Ray nor Celery could carry it. Over HTTP an error is a problem
(RFC 9457): `type`, `title`, `status`, `detail`, and two members of ours, `next` (what to do) and `retryable`.
"""

import re
from typing import Any

Problem = dict[str, Any]


class TickloomError(Exception):
    """Something went wrong that has a name."""

    status = 500
    retryable = False
    next_step = "look at the logs of the service that raised it, then submit again"

    @classmethod
    def code(cls) -> str:
        """Return the name in kebab case: `MissingPartition` is `missing-partition`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    def problem(self) -> Problem:
        """Return the error as the body of an `application/problem+json` answer."""
        return {
            "type": f"urn:tickloom:problem:{self.code()}",
            "title": (type(self).__doc__ or "").strip().splitlines()[0],
            "status": self.status,
            "detail": str(self),
            "next": self.next_step,
            "retryable": self.retryable,
        }


class BadRequest(TickloomError):
    """The request cannot be carried out as it is."""

    status = 422
    next_step = "correct the request and send it again; /docs has an example of every call"


class NotFound(TickloomError):
    """There is nothing under that name."""

    status = 404
    next_step = "check the id; GET /tasks lists the tasks"


class Conflict(TickloomError):
    """The request contradicts one that was accepted before."""

    status = 409
    next_step = "use another Idempotency-Key, or repeat the first request exactly"


class Unavailable(TickloomError):
    """A part that this needs does not answer."""

    status = 503
    retryable = True
    next_step = "wait a moment and try again; `tickloom status` shows which parts are up"


class InvalidRequest(BadRequest):
    """A field of the request is missing or has a value it cannot have."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field, self.reason = field, reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class UnknownTask(NotFound):
    """No task has this id."""

    def __str__(self) -> str:
        return f"no task has the id {self.args[0]!r}"


class UnknownArtifact(NotFound):
    """No artifact has this id."""

    def __str__(self) -> str:
        return f"no artifact has the id {self.args[0]!r}"


class UnknownFile(NotFound):
    """The artifact has no file of this name."""

    next_step = "GET /artifacts/{id} lists the names of its files"

    def __str__(self) -> str:
        return f"artifact {self.args[0]} has no file {self.args[1]!r}"


class MissingPartition(NotFound):
    """A stage needs a partition that no earlier stage has written."""

    next_step = "run the stage that writes it, then this one"

    def __init__(self, table: str, partition: str) -> None:
        super().__init__(table, partition)
        self.table, self.partition = table, partition

    def __str__(self) -> str:
        return f"{self.table} has no partition {self.partition}: run the stage that writes it first"


class CorruptFile(TickloomError):
    """A stored file is not the bytes that were written."""

    next_step = "run `tickloom verify --repair`, then submit again: the file is made anew from its source"

    def __str__(self) -> str:
        return f"{self.args[0]} is damaged: {self.args[1]}"


class LakeUnavailable(Unavailable):
    """The lake cannot be read or written."""

    next_step = "free disk space or check the lake's address and credentials, then submit again"

    def __str__(self) -> str:
        return f"the lake at {self.args[0]} fails: {self.args[1]}"


class ExactnessLost(BadRequest):
    """A number does not fit the exact arithmetic: refusing is better than rounding."""

    next_step = "choose smaller bars (a lower threshold or interval) so that each sum fits in 64 bits"

    def __str__(self) -> str:
        return f"{self.args[0]} does not fit in 64 bits: {self.args[1]}"


class StageCancelled(TickloomError):
    """The stage was asked to stop, and stopped."""

    status = 409
    next_step = "submit it again to go on: committed partitions are kept"

    def __str__(self) -> str:
        return "cancelled"


class DeadlinePassed(TickloomError):
    """A piece of work took longer than it may."""

    status = 504
    retryable = True
    next_step = "raise TICKLOOM_TASK_DEADLINE_S if the work is really that long"

    def __str__(self) -> str:
        return f"{self.args[0]} did not finish within {self.args[1]:.0f} s, or stood still for as long"


class WorkerLost(Unavailable):
    """A worker process died while it did a piece of work."""

    def __str__(self) -> str:
        return f"{self.args[0]}: the worker process died {self.args[1]} times"


class RemoteProblem(TickloomError):
    """A problem that another part of the system reported."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.body = problem
        self.status = int(problem.get("status", 500))
        self.retryable = bool(problem.get("retryable", False))

    def problem(self) -> Problem:
        return self.body

    def __str__(self) -> str:
        return str(self.body.get("detail", self.body))
