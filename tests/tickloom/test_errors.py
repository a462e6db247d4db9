"""Errors travel whole between processes, and say what, which, and what to do next."""

from multiprocessing.reduction import ForkingPickler
from typing import Any

import pytest

from tickloom import errors, http
from tickloom.errors import RemoteProblem, TickloomError


def every_error() -> list[type[TickloomError]]:
    def below(kind: type[TickloomError]) -> list[type[TickloomError]]:
        return [kind, *(deeper for sub in kind.__subclasses__() for deeper in below(sub))]

    return [kind for kind in below(TickloomError) if kind.__module__ in (errors.__name__, http.__name__)]


FIELDS: dict[str, tuple[Any, ...]] = {
    "InvalidRequest": ("field", "reason"),
    "UnknownTask": ("id",),
    "UnknownArtifact": ("id",),
    "UnknownFile": ("artifact", "name"),
    "MissingPartition": ("trades", "2022-01-03"),
    "CorruptFile": ("name", "reason"),
    "LakeUnavailable": ("url", "reason"),
    "ExactnessLost": ("a sum", "reason"),
    "DeadlinePassed": ("bars BTCUSDT", 900.0),
    "WorkerLost": ("bars BTCUSDT", 3),
    "RemoteProblem": ({"status": 404, "title": "x", "detail": "y", "retryable": True},),
}


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_an_error_is_the_same_after_it_was_sent_to_another_process(kind: type[TickloomError]) -> None:
    error = kind(*FIELDS.get(kind.__name__, ()))
    again = ForkingPickler.loads(ForkingPickler.dumps(error))
    assert type(again) is kind
    assert again.args == error.args
    assert str(again) == str(error)
    assert again.problem() == error.problem()
    assert vars(again) == vars(error)


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_an_error_is_a_problem_that_says_what_to_do_next(kind: type[TickloomError]) -> None:
    if kind is RemoteProblem:
        return
    problem = kind(*FIELDS.get(kind.__name__, ())).problem()
    assert problem["type"] == f"urn:tickloom:problem:{kind.code()}"
    assert problem["title"].endswith(".")
    assert 400 <= problem["status"] < 600
    assert len(problem["next"]) > 10
    assert all(str(field) in problem["detail"] for field in FIELDS.get(kind.__name__, ()) if isinstance(field, str))


def test_the_code_of_an_error_is_its_name_in_kebab_case() -> None:
    assert errors.MissingPartition.code() == "missing-partition"


def test_a_remote_problem_is_handed_on_as_it_came() -> None:
    body = {"status": 503, "title": "t", "detail": "d", "retryable": True, "extra": 1}
    error = RemoteProblem(body)
    assert (error.problem(), error.status, error.retryable, str(error)) == (body, 503, True, "d")
