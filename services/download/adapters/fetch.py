"""Archives over HTTP: verified while they arrive, resumed where they broke off, never asked for too often."""

import email.utils
import hashlib
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

from services.download.adapters.bans import Bans
from services.download.domain.errors import (
    ChecksumMismatch,
    ChecksumUnusable,
    ExchangeFailed,
    ExchangeRefused,
    ExchangeUnreachable,
    RateLimited,
    RedirectRefused,
    TooLarge,
)

Answer = TypeVar("Answer")
MAX_ARCHIVE = 16 << 30
MAX_CHECKSUM = 4096
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
    """This attempt failed in a way that another may not. `progress`: bytes arrived, so the tries count anew."""

    def __init__(self, reason: str, wait_s: float | None = None, progress: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.wait_s, self.progress = reason, wait_s, progress


class Fetcher:
    """Fetches archives with their checksums from one exchange."""

    def __init__(self, client: httpx.Client, bans: Bans, patience: Patience | None = None) -> None:
        self._client, self._bans, self._patience = client, bans, patience or Patience()

    def fetch(self, url: str, target: Path) -> Fetched | None:
        """Store the archive at `url` in the file `target`, verified; return None when the exchange has none (404).

        Raises ExchangeUnreachable, ExchangeFailed, ExchangeRefused, ExchangeBanned, RateLimited, RedirectRefused,
        ChecksumUnusable, ChecksumMismatch, TooLarge.
        """
        served = computed = ""
        for _ in range(2):  # an archive may be replaced between its checksum and itself: one more try
            text = self._patiently(url, lambda: self._checksum(url + ".CHECKSUM"))
            if text is None:
                if self._patiently(url, lambda: self._exists(url)):
                    raise ChecksumUnusable(url, "is missing")
                return None
            served = _parse_checksum(url, text)
            transfer = _Transfer(url, target)
            if not self._patiently(url, lambda transfer=transfer: self._resume(transfer)):  # type: ignore[misc]
                return None
            computed = transfer.hasher.hexdigest()
            if computed == served:
                return Fetched(served, computed, transfer.size)
        raise ChecksumMismatch(url, served, computed)

    def _patiently(self, url: str, attempt: Callable[[], Answer]) -> Answer:
        """Return the answer of the first attempt that succeeds."""
        host, patience, tries, total = httpx.URL(url).netloc.decode(), self._patience, 0, 0
        while True:
            self._bans.check(host)
            wait_s: float | None = None
            limit = patience.tries
            try:
                return attempt()
            except _Again as again:
                reason, wait_s = again.reason, again.wait_s
                tries = 0 if again.progress else tries
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                reason, limit = f"{type(error).__name__}: {error}".rstrip(": "), patience.connect_tries
                if tries + 1 >= limit:
                    raise ExchangeUnreachable(host, reason) from None
            except httpx.TransportError as error:
                reason = f"{type(error).__name__}: {error}".rstrip(": ")
            tries, total = tries + 1, total + 1
            if tries >= limit:
                raise ExchangeFailed(url, total, reason) from None
            # The jitter spreads tasks that failed together; no result depends on it.
            jitter = 0.5 + random.random() / 2  # noqa: S311
            time.sleep(patience.backoff_s * 2 ** (tries - 1) * jitter if wait_s is None else wait_s)

    def _judge(self, response: httpx.Response) -> bool:
        """Return whether there is a body to read; False for 404. Raises what any other answer means."""
        status, url = response.status_code, str(response.request.url)
        host = response.request.url.netloc.decode()
        if status in (200, 206):
            return True
        if status == 404:
            return False
        pause = _retry_after(response)
        if status == 418:
            raise self._bans.note(host, 120.0 if pause is None else pause)
        if response.is_redirect:
            raise RedirectRefused(url, response.headers.get("location", "")[:200])
        if status == 429 or status >= 500:
            if pause is not None and pause > self._patience.longest_pause_s:
                raise RateLimited(host, pause)
            raise _Again(f"HTTP status {status}", pause)
        raise ExchangeRefused(url, status)

    def _checksum(self, url: str) -> str | None:
        with self._client.stream("GET", url) as response:
            if not self._judge(response):
                return None
            body = b""
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > MAX_CHECKSUM:
                    raise TooLarge(url, MAX_CHECKSUM)
            return body.decode("utf-8", "replace")

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
                transfer.hasher.update(chunk)
                transfer.size += len(chunk)
                received += len(chunk)
                if transfer.size > MAX_ARCHIVE:
                    raise TooLarge(transfer.url, MAX_ARCHIVE)
                if time.monotonic() - since > patience.read_timeout_s:
                    if received < patience.slowest_bytes_s * patience.read_timeout_s:
                        raise _Again(f"{received:,} bytes in {patience.read_timeout_s:.0f} s")
                    since, received = time.monotonic(), 0


class _Transfer:
    """A download under way: what has arrived, its hash so far, and the validator that tells whether it changed."""

    def __init__(self, url: str, target: Path) -> None:
        self.url, self.target = url, target
        self.restart()

    def restart(self) -> None:
        self.size, self.validator, self.hasher = 0, "", hashlib.sha256()
        self.target.write_bytes(b"")

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
