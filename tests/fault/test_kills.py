"""Parts of a whole system are killed while it works, at moments drawn from a seed; it must not show in what is made.

FAULT_SEED=n draws other moments; FAULT_KILLS=n cuts the long campaign of `make chaos` short. Each test is named
after its point, so that `-k 007-worker` under the same seed is the same kill again.
"""

import os

import pytest

from tests.fault.oracle import Reference
from tests.fault.points import FEW, MANY, Point, Record, draw, strike
from tests.fault.system import System

SEED = int(os.environ.get("FAULT_SEED", "7"))
KILLS = int(os.environ.get("FAULT_KILLS", "0"))


SMALL_WILL_DO = ("worker", "gateway", "redis", "everything")
"""Victims that a run of a second or two shows as well as one that Ray is at; `make chaos` strikes the long one."""


@pytest.mark.parametrize("point", draw(SEED, FEW), ids=str)
def test_a_kill_costs_time_and_nothing_else(
    system: System, record: Record, point: Point, request: pytest.FixtureRequest
):
    name = "small_reference" if point.victim in SMALL_WILL_DO else "reference"
    reference: Reference = request.getfixturevalue(name)
    strike(system, reference, point, record)


@pytest.mark.chaos
@pytest.mark.parametrize("point", draw(SEED, MANY, KILLS), ids=str)
def test_chaos_a_kill_costs_time_and_nothing_else(system: System, reference: Reference, record: Record, point: Point):
    strike(system, reference, point, record)


def test_equal_seeds_draw_equal_points():
    assert draw(7, FEW) == draw(7, FEW) != draw(8, FEW)
    assert len(draw(7, FEW)) == 20
    assert len(draw(7, MANY)) == 200
