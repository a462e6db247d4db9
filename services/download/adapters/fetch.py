"""Archives over HTTP: verified while they arrive, resumed where they broke off, never asked for too often.

Every request of every process has its turn from the limiter (tickloom/limiter.py), which also knows of pauses and bans.
"""

import email.utils
import hashlib
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

from services.download.domain.errors import (
    ChecksumMismatch,
    ChecksumUnusable,
    ExchangeBanned,
    ExchangeFailed,
    ExchangeRefused,
    ExchangeUnreachable,
    RateLimited,
    RedirectRefused,
    TooLarge,
)
from tickloom.errors import StageCancelled
from tickloom.limiter import Limiter, Pause

Answer = TypeVar("Answer")
MAX_ARCHIVE = 16 << 30
MAX_CHECKSUM = 4096
TOLD = 1 << 20
"""Bytes between two words about a download that gets on: a trickle of less than that says nothing for long."""
_CHECKSUM = re.compile(r"([0-9a-fA-F]{64})[ \t]+\*?(\S+)\s*")


@dataclass(frozen=True)
class Patience:
    """How hard to try. Pauses double from `backoff_s` on, with jitter."""

    tries: int = 6
    connect_tries: int = 3
    backoff_s: float = 0.5
    read_timeout_s: float = 30.0
    connect_timeout_s: float = 10.0
    longest_pause_s: float = 120.0
    slowest_bytes_s: float = 256.0

    def timeout(self) -> httpx.Timeout:
        return httpx.Timeout(self.read_timeout_s, connect=self.connect_timeout_s)


@dataclass(frozen=True)
class Fetched:
    """An archive that is what its CHECKSUM says."""

    served_sha256: str
    computed_sha256: str
    bytes: int


class _Again(Exception):
    """This attempt failed in a way that another may not.

    wait_s     the pause that the exchange asks for
    progress   bytes arrived, so the tries count anew
    everybody  the pause is for every process
    """

    def __init__(
        self, reason: str, wait_s: float | None = None, progress: bool = False, everybody: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason, self.wait_s, self.progress, self.everybody = reason, wait_s, progress, everybody


class Fetcher:
    """Fetches archives with their checksums, and other answers, from one exchange."""

    def __init__(
        self,
        client: httpx.Client,
        limiter: Limiter,
        patience: Patience | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        self._client, self._limiter, self._patience = client, limiter, patience or Patience()
        self._cancelled = cancelled

    def checksum(self, url: str) -> str | None:
        """Return the SHA-256 that the exchange gives for its archive at `url`, or None when it has none (404).

        Raises what `read` raises, and ChecksumUnusable.
        """
        text = self.read(url + ".CHECKSUM", at_most=MAX_CHECKSUM)
        if text is not None:
            return _parse_checksum(url, text.decode("utf-8", "replace"))
        if self._patiently(url, lambda: self._exists(url)):
            raise ChecksumUnusable(url, "is missing")
        return None

    def fetch(self, url: str, served: str, target: Path, beat: Callable[[], None] = lambda: None) -> Fetched | None:
        """Store the archive at `url` in the file `target`, verified; return None when the exchange has none (404).

        served  what `checksum` has just returned for it. Where the archive was replaced meanwhile, what is stored is
                the new one as a whole, and what is returned is its checksum.
        target  may hold the beginning of that archive, by an attempt that ended early: only the rest is asked for
        beat    is called every TOLD bytes

        Raises what `checksum` raises, and ChecksumMismatch.
        """
        for left in (1, 0):  # an archive may be replaced between its checksum and itself: one more try
            transfer = _Transfer(url, target, beat, goes_on=bool(left))
            if transfer.hexdigest() == served:  # all of it was there
                return Fetched(served, served, transfer.size)
            if not self._patiently(url, lambda transfer=transfer: self._resume(transfer)):  # type: ignore[misc]
                return None
            computed = transfer.hexdigest()
            if computed == served:
                return Fetched(served, computed, transfer.size)
            if left:
                anew = self.checksum(url)
                if anew is None:
                    return None
                served = anew
        raise ChecksumMismatch(url, served, computed)

    def read(
        self, url: str, *, at_most: int, weight: int = 1, headers: Mapping[str, str] | None = None
    ) -> bytes | None:
        """Return the body at `url`, or None when there is none (404).

        at_most  bytes
        weight   of the request, as the exchange counts it against the limit of its REST calls

        Raises ExchangeUnreachable, ExchangeFailed, ExchangeRefused, ExchangeBanned, RateLimited, RedirectRefused,
        TooLarge.
        """
        return self._patiently(url, lambda: self._body(url, at_most, headers), weight)

    def _patiently(self, url: str, attempt: Callable[[], Answer], weight: int = 1) -> Answer:
        """Return the answer of the first attempt that succeeds."""
        host, patience, tries, total = host_of(url), self._patience, 0, 0
        while True:
            self._wait_for_turn(host, weight)
            wait_s: float | None = None
            everybody, limit = False, patience.tries
            try:
                return attempt()
            except _Again as again:
                reason, wait_s, everybody = again.reason, again.wait_s, again.everybody
                tries = 0 if again.progress else tries
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                reason, limit = f"{type(error).__name__}: {error}".rstrip(": "), patience.connect_tries
                if tries + 1 >= limit:
                    raise ExchangeUnreachable(host, reason) from None
            except httpx.TransportError as error:
                reason = f"{type(error).__name__}: {error}".rstrip(": ")
            tries, total = tries + 1, total + 1
            if wait_s is None:
                # The jitter spreads tasks that failed together; no result depends on it.
                wait_s = patience.backoff_s * 2 ** (tries - 1) * (0.5 + random.random() / 2)  # noqa: S311
            if everybody:
                self._limiter.pause(host, wait_s)
            if tries >= limit:
                raise ExchangeFailed(url, total, reason) from None
            if not everybody:
                self._sleep(wait_s)

    def _wait_for_turn(self, host: str, weight: int) -> None:
        """Return when the host may be asked. Raises ExchangeBanned, RateLimited when that is not for a long time."""
        while True:
            turn = self._limiter.reserve(host, weight)
            self._refuse(host, turn.pause, turn.wait_s)
            if turn.wait_s <= 0:
                return
            self._sleep(turn.wait_s)
            # While this process slept another one may have been told to leave the host alone.
            if turn.pause is None and self._limiter.standing(host).pause is None:
                return

    def _sleep(self, seconds: float) -> None:
        """Sleep. Raises StageCancelled as soon as nobody waits any more."""
        if self._cancelled is None:
            time.sleep(seconds)
        elif self._cancelled.wait(seconds):
            raise StageCancelled()

    def _refuse(self, host: str, pause: Pause | None, wait_s: float) -> None:
        if pause is not None and pause.banned:
            raise ExchangeBanned(host, str(pause))
        if pause is not None and wait_s > self._patience.longest_pause_s:
            raise RateLimited(host, str(pause))

    def _judge(self, response: httpx.Response) -> bool:
        """Return whether there is a body to read; False for 404. Raises what any other answer means."""
        status, url = response.status_code, str(response.request.url)
        host = host_of(url)
        self._heed_weight(host, response.headers.get("x-mbx-used-weight-1m", ""))
        if status in (200, 206):
            return True
        if status == 404:
            return False
        pause = _retry_after(response)
        if status == 418:
            raise ExchangeBanned(host, str(self._limiter.pause(host, 120.0 if pause is None else pause, banned=True)))
        if response.is_redirect:
            raise RedirectRefused(url, response.headers.get("location", "")[:200])
        if status == 429:
            raise _Again("HTTP status 429", pause, everybody=True)
        if status >= 500:
            if pause is not None and pause > self._patience.longest_pause_s:
                raise RateLimited(host, str(Pause(time.time() + pause, False)))
            raise _Again(f"HTTP status {status}", pause)
        raise ExchangeRefused(url, status)

    def _heed_weight(self, host: str, used: str) -> None:
        """Rest until the next minute when the exchange counts as much as we may use: others share our address."""
        if used.isascii() and used.isdigit() and len(used) < 10 and int(used) >= self._limiter.per_minute(host):
            self._limiter.pause(host, 60.0 - time.time() % 60.0)

    def _body(self, url: str, at_most: int, headers: Mapping[str, str] | None) -> bytes | None:
        plain = {"Accept-Encoding": "identity"} | dict(headers or {})  # a packed body could unpack to anything
        with self._client.stream("GET", url, headers=plain) as response:
            if not self._judge(response):
                return None
            body = b""
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > at_most:
                    raise TooLarge(url, at_most)
            return body

    def _exists(self, url: str) -> bool:
        with self._client.stream("GET", url) as response:
            return self._judge(response)

    def _resume(self, transfer: "_Transfer") -> bool:
        """Bring the transfer to its end; return False for 404."""
        before = transfer.size
        try:
            with self._client.stream("GET", transfer.url, headers=transfer.headers()) as response:
                if response.status_code == 416:  # there is nothing after what we have: it changed under our hands
                    transfer.restart()
                    raise _Again("HTTP status 416")
                if not self._judge(response):
                    return False
                transfer.begin(response)
                self._receive(transfer, response)
        except httpx.TransportError as error:
            if transfer.size > before:
                raise _Again(f"{type(error).__name__}: {error}", progress=transfer.size - before > 1 << 16) from None
            raise
        return True

    def _receive(self, transfer: "_Transfer", response: httpx.Response) -> None:
        patience, since, received = self._patience, time.monotonic(), 0
        with transfer.target.open("ab") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                transfer.note(chunk)
                received += len(chunk)
                if transfer.size > MAX_ARCHIVE:
                    raise TooLarge(transfer.url, MAX_ARCHIVE)
                if time.monotonic() - since > patience.read_timeout_s:
                    if received < patience.slowest_bytes_s * patience.read_timeout_s:
                        raise _Again(f"{received:,} bytes in {patience.read_timeout_s:.0f} s")
                    since, received = time.monotonic(), 0


class _Transfer:
    """A download under way: what has arrived, its hash so far, and the validator that tells whether it changed.

    Beside the target a file `.tag` keeps the validator, for an attempt that goes on after this one was killed.
    """

    def __init__(self, url: str, target: Path, beat: Callable[[], None], *, goes_on: bool) -> None:
        self.url, self.target, self._beat = url, target, beat
        self._tag = target.with_suffix(".tag")
        self.size, self.validator, self._hasher = 0, "", hashlib.sha256()
        if goes_on and target.exists():
            self._go_on()
        else:
            self.restart()

    def _go_on(self) -> None:
        with self.target.open("rb") as file:
            while chunk := file.read(TOLD):
                self.note(chunk)
        self.validator = self._tag.read_text() if self._tag.exists() else ""

    def restart(self) -> None:
        self.size, self.validator, self._hasher = 0, "", hashlib.sha256()
        self.target.write_bytes(b"")
        self._tag.unlink(missing_ok=True)

    def note(self, chunk: bytes) -> None:
        """Take note of what comes next in the target."""
        self._hasher.update(chunk)
        if (self.size + len(chunk)) // TOLD > self.size // TOLD:
            self._beat()
        self.size += len(chunk)

    def hexdigest(self) -> str:
        """Return the SHA-256 of what has arrived."""
        return self._hasher.hexdigest()

    def headers(self) -> dict[str, str]:
        """Return what asks for the rest, if it is still the rest of the same file as far as the server can tell.

        Where it cannot, two halves of different files would not match the checksum.
        """
        headers = {"Accept-Encoding": "identity"}
        if self.size:
            headers["Range"] = f"bytes={self.size}-"
            if self.validator:
                headers["If-Range"] = self.validator
        return headers

    def begin(self, response: httpx.Response) -> None:
        """Go on where we are, or start again where the server sends the whole."""
        resumed = response.headers.get("content-range", "").startswith(f"bytes {self.size}-")
        if response.status_code != 206 or not resumed:
            if response.status_code == 206:
                self.restart()
                raise _Again("the server sent another part than it was asked for")
            self.restart()
        # A weak tag does not promise equal bytes.
        tag = response.headers.get("etag", "")
        self.validator = tag if tag and not tag.startswith("W/") else response.headers.get("last-modified", "")
        self._tag.write_text(self.validator)


def host_of(url: str) -> str:
    """Return the host, and the port where it is not the usual one, under which the limiter knows this address."""
    return httpx.URL(url).netloc.decode()


def _parse_checksum(url: str, text: str) -> str:
    match = _CHECKSUM.fullmatch(text)
    if match is None:
        raise ChecksumUnusable(url, "is not a SHA-256 and a file name")
    if match[2] != httpx.URL(url).path.rpartition("/")[2]:
        raise ChecksumUnusable(url, f"is that of another file, {match[2][:100]!r}")
    return match[1].lower()


def _retry_after(response: httpx.Response) -> float | None:
    """Return the pause that the server asks for, in seconds, from either form of the header."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
