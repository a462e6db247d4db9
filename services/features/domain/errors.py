"""What may be wrong with bars that features are asked of."""

from collections.abc import Sequence

from tickloom.errors import BadRequest, TickloomError


class NotBars(BadRequest):
    """The input of the features stage is not an artifact of bars."""

    next_step = "give the task_id or artifact id of a bars stage; GET /artifacts/{id} shows what an artifact is"

    def __init__(self, artifact_id: str, reason: str) -> None:
        super().__init__(artifact_id, reason)
        self.artifact_id, self.reason = artifact_id, reason

    def __str__(self) -> str:
        return f"artifact {self.artifact_id} is no input for features: {self.reason}"


class BarsIncomplete(TickloomError):
    """A file of bars lacks columns that features are computed from."""

    next_step = "submit the bars stage again, then this one"

    def __init__(self, symbol: str, missing: Sequence[str]) -> None:
        super().__init__(symbol, tuple(missing))
        self.symbol, self.missing = symbol, tuple(missing)

    def __str__(self) -> str:
        return f"the bars of {self.symbol} have no column {', '.join(self.missing)}"


class BarsOutOfOrder(TickloomError):
    """Bars do not follow one another in time: features over them would look into the future."""

    next_step = "submit the bars stage again, then this one"

    def __init__(self, symbol: str, row: int) -> None:
        super().__init__(symbol, row)
        self.symbol, self.row = symbol, row

    def __str__(self) -> str:
        return f"the bars of {self.symbol} run backwards in time at row {self.row}"
