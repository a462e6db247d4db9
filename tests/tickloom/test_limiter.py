"""One limit per host for all processes: by a clock of our own, and with a real Redis and real processes (T04)."""

import pickle
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from cli.parts import _redis_config, redis_server
from tests.processes import eventually, free_port, kill, listens, process
from tickloom import limiter as module
from tickloom.limiter import PER_MINUTE, Limiter, Pause, open_limiter

HOST = "exchange.test"


class Clock:
    """A clock that goes where it is told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def own(clock):
    """60 requests a minute, two at once: BURST_S is 2."""
    return Limiter("", {HOST: 60}, clock)


def test_a_burst_goes_at_once_and_the_rest_in_step(own):
    assert [round(own.reserve(HOST).wait_s, 3) for _ in range(6)] == [0, 0, 0, 1, 2, 3]


def test_a_bucket_that_rests_fills_up_but_never_beyond_its_burst(own, clock):
    for _ in range(6):
        own.reserve(HOST)
    clock.now += 3600
    assert [round(own.reserve(HOST).wait_s, 3) for _ in range(4)] == [0, 0, 0, 1]


def test_a_heavy_request_uses_up_its_weight(own):
    assert own.reserve(HOST, weight=20).wait_s == 0
    assert round(own.reserve(HOST).wait_s, 3) == 18


def test_hosts_do_not_wait_for_one_another(own):
    for _ in range(50):
        own.reserve(HOST)
    assert own.reserve("other.test").wait_s == 0


@given(gaps=st.lists(st.floats(0, 3), max_size=80), weights=st.lists(st.integers(1, 5), min_size=80, max_size=80))
def test_no_minute_ever_sees_more_than_the_limit_and_one_burst(gaps, weights):
    clock = Clock()
    own, asked = Limiter("", {HOST: 60}, clock), []
    for gap, weight in zip(gaps, weights, strict=False):
        clock.now += gap
        asked.append((clock.now + own.reserve(HOST, weight).wait_s, weight))
    for begin, _ in asked:
        used = [weight for when, weight in asked if begin <= when < begin + 60]
        assert sum(used[:-1]) <= 60 + 2 + 1  # the last one is paid for after it was made


def test_in_a_pause_nothing_is_promised_and_its_end_is_no_stampede(own, clock):
    own.pause(HOST, 7)
    turn = own.reserve(HOST)
    assert (round(turn.wait_s, 3), turn.pause) == (7, Pause(clock.now + 7, False))
    clock.now += 7.001
    assert [round(own.reserve(HOST).wait_s) for _ in range(4)] == [0, 1, 2, 3]


def test_the_longest_pause_holds_and_says_when_it_ends(own, clock):
    own.pause(HOST, 900, banned=True)
    own.pause(HOST, 7)
    assert own.standing(HOST).pause == Pause(clock.now + 900, True)
    assert str(own.standing(HOST).pause) == "2023-11-14 22:28:20 UTC"


def test_looking_promises_nothing(own):
    for _ in range(10):
        assert own.standing(HOST).wait_s == 0


def test_the_defaults_are_those_of_the_hosts_and_settings_change_them(home, monkeypatch):
    monkeypatch.setenv("TICKLOOM_SIM_URL", "http://sim.test:8900")
    monkeypatch.setenv("TICKLOOM_REQUESTS_PER_MINUTE", '{"data.binance.vision": 30}')
    limits = open_limiter()
    assert limits.per_minute("data.binance.vision") == 30
    assert limits.per_minute("data-api.binance.vision") == PER_MINUTE["data-api.binance.vision"] <= 6000 / 2
    assert limits.per_minute("sim.test:8900") == module.SIMULATED
    assert limits.per_minute("elsewhere.test") == module.OTHERS


def test_a_copy_in_another_process_has_the_same_limits_and_its_url_is_in_no_log():
    limits = Limiter("redis://:secret@127.0.0.1:1/0", {HOST: 7})
    copy = pickle.loads(pickle.dumps(limits))
    assert copy.per_minute(HOST) == 7
    assert "secret" not in repr(copy)


class Server:
    """A Redis as the supervisor starts it, with the same rights."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.port, self.folder, self.stack = free_port(), folder, stack
        self.url = f"redis://:password@127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        file = self.folder / "redis.conf"
        file.write_text(_redis_config(self.port, self.folder, "password"))
        self.process = self.stack.enter_context(process([redis_server(), str(file)], self.folder / "log"))
        eventually(lambda: listens(self.port))


@pytest.fixture
def server(tmp_path):
    with ExitStack() as stack:
        yield Server(tmp_path / "redis", stack)


def test_t04_what_one_process_is_told_another_one_heeds(server):
    one, other = (Limiter(server.url, {HOST: 60}) for _ in range(2))
    assert other.standing(HOST).shared
    one.pause(HOST, 30, banned=True)
    pause = other.reserve(HOST).pause
    assert pause is not None
    assert pause.banned
    assert 25 < pause.until - time.time() < 35


def test_the_bucket_in_redis_goes_away_by_itself(server):
    Limiter(server.url, {HOST: 60}).reserve(HOST)
    with redis.Redis.from_url(server.url) as client:
        assert 0 < client.pttl(f"tickloom:limit:{HOST}") <= 62_000


def test_a_damaged_entry_limits_nobody(server):
    with redis.Redis.from_url(server.url) as client:
        client.hset(f"tickloom:limit:{HOST}", mapping={"until": "soon", "what": "ever"})
    turn = Limiter(server.url, {HOST: 60}).reserve(HOST)
    assert (turn.wait_s, turn.pause, turn.shared) == (0, None, True)


PROCESS = """
import sys, time
from tickloom.limiter import Limiter
limits, end = Limiter(sys.argv[1], {"exchange.test": 1200}), time.time() + 2
while True:
    wait_s = limits.reserve("exchange.test").wait_s
    if time.time() + wait_s > end:
        break
    time.sleep(wait_s)
    print(time.time(), flush=True)
"""


def test_t04_four_processes_together_ask_no_more_often_than_one_may(server):
    command = [sys.executable, "-c", PROCESS, server.url]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    times = sorted(float(line) for one in started for line in one.communicate(timeout=60)[0].splitlines())
    span = times[-1] - times[0]
    assert len(times) <= 1200 / 60 * (span + module.BURST_S) + 4  # a millisecond late is no offence
    assert len(times) > 25


def test_without_redis_each_process_asks_slowly_and_remembers_the_ban(server, monkeypatch):
    monkeypatch.setattr(module, "AWAY_S", 0.2)
    limits = Limiter(server.url, {HOST: 600})
    assert limits.reserve(HOST).shared
    Limiter(server.url, {HOST: 600}).pause("banned.test", 60, banned=True)
    assert limits.standing("banned.test").pause is not None
    kill(server.process)
    turns = [limits.reserve(HOST) for _ in range(3)]
    assert [turn.shared for turn in turns] == [False] * 3
    assert [round(turn.wait_s, 1) for turn in turns] == [0, 1.6, 3.2]
    assert limits.reserve("banned.test").pause is not None


def test_what_was_learnt_without_redis_is_told_when_it_is_back(server, monkeypatch):
    monkeypatch.setattr(module, "AWAY_S", 0.2)
    limits = Limiter(server.url, {HOST: 600})
    kill(server.process)
    limits.pause(HOST, 60, banned=True)
    server.start()
    other = Limiter(server.url, {HOST: 600})
    assert other.standing(HOST).shared
    assert other.standing(HOST).pause is None
    time.sleep(0.3)
    limits.reserve(HOST)
    pause = other.standing(HOST).pause
    assert pause is not None
    assert pause.banned


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "sentinel://nowhere:1", "nonsense"])
def test_a_store_that_cannot_be_used_keeps_nobody_from_working(url):
    turn = Limiter(url, {HOST: 60}).reserve(HOST)
    assert (turn.wait_s, turn.shared) == (0, False)
