"""Where the work is done changes no byte: on Ray and without it, every file of every artifact is the same."""

import re

import pytest
import yaml

from tests.conftest import REPOSITORY
from tickloom.contracts.stages import STAGES

DAY = "2022-01-03"


@pytest.fixture(scope="module")
def request_() -> dict:
    """One day of two symbols, with so many trades that every stage fans out."""
    config = yaml.safe_load((REPOSITORY / "configs" / "demo.yaml").read_text())
    dataset = "seed=3,trades_per_day=400000"
    config["download"] |= {"dataset": dataset, "start_date": DAY, "end_date": DAY}
    config["bars"] = {"spec": {"kind": "tick", "threshold": 3}}
    signals = config["signals"]
    signals["long_entry"] = signals["long_entry"].replace("70", "{level}")
    signals["parameters"]["level"] = [60, 70, 80]
    return config


@pytest.fixture(scope="module")
def both(system, rayless, request_):
    """The pipeline's status on both systems, at work at the same time."""
    sent = [(where, where.post("/submit_pipeline", request_)["task_id"]) for where in (system, rayless)]
    return [where.done(task_id) for where, task_id in sent]


@pytest.mark.parametrize("stage", STAGES)
def test_every_file_has_the_same_hash_with_ray_and_without(system, rayless, both, stage):
    made = [row["artifact_id"] for status in both for row in status["stages"] if row["stage"] == stage]
    assert made[0] == made[1]
    assert system.files(made[0]) == rayless.files(made[1])
    assert system.manifest(made[0]) == rayless.manifest(made[1])


def test_rays_dashboard_shows_the_tasks_under_readable_names(system, both):
    token = (system.home / "ray_token").read_text()
    url = f"http://127.0.0.1:{system.ports['RAY_DASHBOARD']}/api/v0/tasks"
    answer = system.http.get(url, params={"limit": 10000}, headers={"authorization": f"Bearer {token}"})
    names = {task["name"] for task in answer.json()["data"]["result"]["result"]}
    assert {f"bars BTCUSDT {DAY}", f"bars ETHUSDT {DAY}", f"download BTCUSDT {DAY}"} <= names
    assert {name.partition(" ")[0] for name in names} >= set(STAGES) - {"viz"}
    readable = re.compile(rf"({'|'.join(STAGES)}) \S+.*")
    assert [name for name in names if not readable.fullmatch(name)] == []
    assert system.http.get(url).status_code == 401


def test_a_system_that_is_told_to_do_without_ray_is_ready_without_it(rayless, both):
    ready = rayless.http.get("/readyz").json()
    assert ready["ready"] is True
    assert "ray" not in ready["parts"]
    assert both[1]["warnings"] == both[0]["warnings"]
