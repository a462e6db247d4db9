"""Kill points: who is killed, when, drawn from one seed; and what came of each."""

import contextlib
import random
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from tests.fault.oracle import Reference, check, forget
from tests.fault.system import System
from tickloom.client import Run

FEW = {"worker": 4, "services": 3, "ray_worker": 4, "ray": 1, "raylet": 1, "gcs_server": 1, "redis": 2, "gateway": 2}
FEW |= {"everything": 2}
"""The 20 points of the default suite."""
MANY = {"worker": 60, "services": 30, "ray_worker": 40, "ray": 8, "raylet": 6, "gcs_server": 6, "redis": 30}
MANY |= {"gateway": 10, "everything": 10}
"""The campaign of `make chaos`: F01 60, F02 30, F04 40, F08 20, F09 30, F11 10 (and 10 cut replies), F16 10."""
_RAYS_OWN = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")


@dataclass(frozen=True)
class Point:
    """One kill: `at` is a fraction of the undisturbed run's time, `number` the point's own seed.

    It is counted from the beginning of the stage that the fraction falls into, so that a machine which is slower
    today still meets that stage at work.
    """

    victim: str
    at: float
    number: int

    def __str__(self) -> str:
        return f"{self.number:03d}-{self.victim}-at-{self.at:.3f}"


def draw(seed: int, counts: dict[str, int], limit: int = 0) -> list[Point]:
    """Return the points of a seed, in a drawn order; `limit` cuts the list."""
    chance = random.Random(seed)
    victims = [victim for victim, count in counts.items() for _ in range(count)]
    chance.shuffle(victims)
    points = [Point(victim, chance.random(), number) for number, victim in enumerate(victims)]
    return points[:limit] if limit else points


@dataclass
class Outcome:
    """What came of a point, in seconds after the kill."""

    point: Point
    stage: str
    killed: str
    back_s: float
    """Until the part answered again."""
    lost_s: float
    """How much longer the run took than one that is not disturbed."""


@dataclass
class Record:
    """The outcomes of a campaign."""

    outcomes: list[Outcome] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the points one by one, and how long recovery took by victim: median and longest."""
        rows = [
            f"{o.point}  in {o.stage:<9} killed {o.killed:<28} back after {o.back_s:5.1f} s, lost {o.lost_s:5.1f} s"
            for o in self.outcomes
        ]
        for victim in dict.fromkeys(o.point.victim for o in self.outcomes):
            of_victim = [o for o in self.outcomes if o.point.victim == victim]
            back, lost = _spread([o.back_s for o in of_victim]), _spread([o.lost_s for o in of_victim])
            rows.append(f"{victim:<11} {len(of_victim):3d} kills   back after {back}   lost {lost}")
        return rows


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):5.1f} s median, {max(seconds):5.1f} s max"


def strike(system: System, reference: Reference, point: Point, record: Record) -> None:
    """Submit the request, kill at the point's moment, and hold what comes of it against the reference."""
    forget(system)
    run = system.client().pipeline(reference.body)
    assert run.created
    awaited, seconds = reference.moment(point.at)
    system.wait_begun(run.id, awaited)
    time.sleep(seconds)  # the moment itself: the one wait that no event can end
    stage, killed_at = system.stage_at_work(run.id), time.monotonic()
    killed = _kill(system, point, run)
    if point.victim == "everything":
        system.start()
        back_at = time.monotonic()
    else:
        part = {"raylet": "ray", "gcs_server": "ray"}.get(point.victim, point.victim)
        back_at = system.wait_up(part, killed_at) if part != "ray_worker" else killed_at
    check(system, run, reference)
    lost = system.seconds(run.id) - reference.seconds
    record.outcomes.append(Outcome(point, stage, killed, back_at - killed_at, lost))
    system.wait_all_up()


def _kill(system: System, point: Point, run: Run) -> str:
    """Kill the victim; return what exactly that was."""
    match point.victim:
        case "everything":
            system.kill_everything()
        case "ray_worker":
            return _kill_ray_worker(system, point, run)
        case "raylet" | "gcs_server":  # one process of the head, which Ray does not restart
            system.kill_process(next(p for p in system.session("ray") if p.name().startswith(point.victim)))
        case "redis":
            system.kill_part("redis")
            shutil.rmtree(system.home / "redis", ignore_errors=True)
            return "redis and its data"
        case part:
            system.kill_part(part)
    return point.victim


def _kill_ray_worker(system: System, point: Point, run: Run) -> str:
    """Kill a process that Ray made for tasks: one at a task where there is one, else one that waits for the next."""
    chance = random.Random(point.number)
    end = time.monotonic() + 10
    while time.monotonic() < end and run.status()["state"] != "SUCCESS":
        idle, busy = [], []
        for process in system.session("ray"):
            with contextlib.suppress(psutil.Error, IndexError):
                title = process.cmdline()[0].strip()
                if title.startswith("ray::") and not title.startswith(_RAYS_OWN):
                    (idle if title == "ray::IDLE" else busy).append((process, title))
        if idle or busy:
            process, title = chance.choice(sorted(busy or idle, key=lambda found: found[0].pid))
            system.kill_process(process)
            return title
    return "nothing: there was none"
