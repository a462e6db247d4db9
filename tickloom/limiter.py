"""One limit per host for every process on every machine: how often it is asked, and whether it asked to be left alone.

Each host has a token bucket, kept as the time at which it is full again, and the pause that it asked for. Both are in
the queue's Redis, by that server's clock, and change in WATCH transactions: no scripts. While Redis is away each
process keeps a bucket of its own, a sixteenth of the host's, beside the pauses that it knows of: slow, but neither a
stampede nor a standstill. What it learnt meanwhile it tells Redis afterwards.

Source: ATM Forum (1996), Traffic Management 4.0, section 4.4.2 (virtual scheduling, also called GCRA). Departure: who
comes too early is given a later turn instead of being refused.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from tickloom.settings import settings

log = structlog.get_logger()

PER_MINUTE: Final = {
    "data.binance.vision": 1800,  # no limit is published: thirty a second
    "data-api.binance.vision": 3000,  # weight: half of what an address may use, for we may not be alone behind it
    "api.binance.com": 3000,
    "fapi.binance.com": 1200,
    "dapi.binance.com": 1200,
}
"""Host -> requests, or their weight, that all processes together may ask of it in a minute."""

OTHERS: Final = 1800
SIMULATED: Final = 60_000
BURST_S: Final = 2.0
"""How many seconds' worth of requests may come at once."""

ALONE: Final = 16
AWAY_S: Final = 5.0
_KEY: Final = "tickloom:limit:"
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Pause:
    """A host wants to be left alone `until` then, in seconds since the epoch. `banned`: it said so with a 418."""

    until: float
    banned: bool

    def __str__(self) -> str:
        return datetime.fromtimestamp(self.until, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@dataclass(frozen=True)
class Turn:
    """When to ask: after `wait_s` seconds. Where there is a pause no turn was given: ask for one when it is over.

    shared  whether all processes share this limit just now
    """

    wait_s: float
    pause: Pause | None
    shared: bool


@dataclass(frozen=True)
class _Pace:
    """Microseconds between two requests of weight 1, and how much of that may be used ahead of time."""

    interval: int
    burst: int


@dataclass(frozen=True)
class _Host:
    """What is kept of a host, in microseconds since the epoch: when its bucket is full again, and its pause."""

    full: int = 0
    until: int = 0
    banned: int = 0

    def pause(self, now: int) -> Pause | None:
        return Pause(self.until / 1e6, bool(self.banned)) if self.until > now else None

    def promised(self, now: int, weight: int, pace: _Pace) -> tuple["_Host", float]:
        """Return the host after a request of this weight is promised, and the seconds until it may be made."""
        full = max(self.full, now) + weight * pace.interval
        return replace(self, full=full), max(0, self.full - pace.burst - now) / 1e6

    def paused(self, until: int, banned: bool, pace: _Pace) -> "_Host":
        """Return the host with this pause, unless it has a longer one. The bucket is empty when the pause ends."""
        return self if until <= self.until else _Host(max(self.full, until + pace.burst), until, int(banned))


class _Own:
    """Hosts in the memory of this process, by a clock that never jumps."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._hosts: dict[str, _Host] = {}

    def now(self) -> int:
        return int(self._clock() * 1e6)

    def change(self, host: str, change: Callable[[_Host, int], tuple[_Host, _Answer]]) -> _Answer:
        with self._lock:
            self._hosts[host], answer = change(self._hosts.get(host, _Host()), self.now())
        return answer


class _Shared:
    """Hosts in Redis, by the clock of its server."""

    def __init__(self, url: str) -> None:
        # No retries: who waits for Redis keeps a download waiting, and there is another way to go on.
        retry = Retry(NoBackoff(), 0)
        self._client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=1, retry=retry)

    def change(self, host: str, change: Callable[[_Host, int], tuple[_Host, _Answer]]) -> _Answer:
        """Raises RedisError, OSError."""
        key = _KEY + host

        def attempt(pipe: Any) -> _Answer:
            seconds, microseconds = pipe.time()
            now, before = seconds * 1_000_000 + microseconds, _read(pipe.hgetall(key))
            after, answer = change(before, now)
            pipe.multi()
            if after != before:
                pipe.hset(key, mapping=asdict(after))
                pipe.pexpireat(key, max(after.full, after.until) // 1000 + 60_000)
            return answer

        # redis-py's hints know nothing of value_from_callable.
        return cast(_Answer, self._client.transaction(cast(Any, attempt), key, value_from_callable=True))


def _read(fields: Mapping[bytes, bytes]) -> _Host:
    try:
        return _Host(**{name.decode(): int(value) for name, value in fields.items()})
    except (ValueError, TypeError):  # not written by us: it limits nobody
        return _Host()


class Limiter:
    """The limits of all hosts. Safe to share between threads; a copy travels to other processes.

    store       URL of a Redis; empty: the limits are those of this process alone, at their full pace
    per_minute  host -> requests per minute, where that is not in PER_MINUTE
    clock       seconds since the epoch
    """

    def __init__(self, store: str, per_minute: Mapping[str, int], clock: Callable[[], float] | None = None) -> None:
        self._store, self._per_minute = store, dict(per_minute)
        self._own = _Own(clock or _steady_clock())
        self._shared: _Shared | None = None
        self._away_until = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return (_opened, (self._store, tuple(sorted(self._per_minute.items()))))

    def __repr__(self) -> str:  # the URL holds a password
        return f"Limiter({self._per_minute})"

    def per_minute(self, host: str) -> int:
        """Return how many requests, or how much weight, `host` (with its port, if it has one) takes in a minute."""
        return max(1, self._per_minute.get(host) or PER_MINUTE.get(host, OTHERS))

    def reserve(self, host: str, weight: int = 1) -> Turn:
        """Promise a request of this weight, and say when to make it. In a pause nothing is promised."""
        return self._turn(host, weight, keep=True)

    def standing(self, host: str) -> Turn:
        """Return the turn that one more request would get, and promise nothing."""
        return self._turn(host, 1, keep=False)

    def pause(self, host: str, seconds: float, *, banned: bool = False) -> Pause:
        """Note that a host wants to be left alone; return the pause that holds now: a longer one stays."""

        def change(kept: _Host, now: int, pace: _Pace, _: bool) -> tuple[_Host, Pause]:
            after = kept.paused(now + max(1, int(seconds * 1e6)), banned, pace)
            return after, Pause(after.until / 1e6, bool(after.banned))

        return self._change(host, change)

    def _turn(self, host: str, weight: int, *, keep: bool) -> Turn:
        def change(kept: _Host, now: int, pace: _Pace, shared: bool) -> tuple[_Host, Turn]:
            if pause := kept.pause(now):
                return kept, Turn((kept.until - now) / 1e6, pause, shared)
            after, wait_s = kept.promised(now, weight, pace)
            return after if keep else kept, Turn(wait_s, None, shared)

        return self._change(host, change)

    def _change(self, host: str, change: Callable[[_Host, int, _Pace, bool], tuple[_Host, _Answer]]) -> _Answer:
        pace = self._pace(host, 1)
        if not self._store:
            return self._own.change(host, lambda kept, now: change(kept, now, pace, True))
        if time.monotonic() >= self._away_until:
            try:
                return self._change_shared(host, change, pace)
            except (redis.RedisError, OSError, ValueError) as error:
                self._away_until = time.monotonic() + AWAY_S
                log.warning("the limiter's store is away: each process asks slowly", host=host, error=str(error))
        return self._own.change(host, lambda kept, now: change(kept, now, self._pace(host, ALONE), False))

    def _change_shared(
        self, host: str, change: Callable[[_Host, int, _Pace, bool], tuple[_Host, _Answer]], pace: _Pace
    ) -> _Answer:
        """Change what all share. A pause is kept here too, and one learnt while Redis was away is told now."""
        known_us, known_ban = self._own.change(host, lambda kept, now: (kept, (kept.until - now, bool(kept.banned))))

        def with_known(kept: _Host, now: int) -> tuple[_Host, tuple[_Answer, int, bool]]:
            # A second more or less is the way from there to here.
            if known_us > 1_000_000 and known_us > kept.until - now + 1_000_000:
                kept = kept.paused(now + known_us, known_ban, pace)
            after, answer = change(kept, now, pace, True)
            return after, (answer, after.until - now, bool(after.banned))

        self._shared = self._shared or _Shared(self._store)
        answer, left_us, banned = self._shared.change(host, with_known)
        if left_us > 0:
            self._own.change(host, lambda kept, now: (kept.paused(now + left_us, banned, pace), None))
        return answer

    def _pace(self, host: str, share: int) -> _Pace:
        return _Pace(60_000_000 * share // self.per_minute(host), int(BURST_S * 1e6) if share == 1 else 0)


def _steady_clock() -> Callable[[], float]:
    """Return a clock of seconds since the epoch that does not follow when somebody sets the machine's clock."""
    began = time.time() - time.monotonic()
    return lambda: began + time.monotonic()


@lru_cache(maxsize=16)
def _opened(store: str, per_minute: tuple[tuple[str, int], ...]) -> Limiter:
    return Limiter(store, dict(per_minute))


def open_limiter() -> Limiter:
    """Return the limiter of the settings, one per process."""
    config = settings()
    simulator = urlsplit(config.sim()).netloc
    return _opened(config.broker(), tuple(sorted(({simulator: SIMULATED} | config.requests_per_minute).items())))
