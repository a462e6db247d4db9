"""How many rows an exchange's archives of trades hold, by their bytes: a few are asked for by HEAD, none is fetched."""

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime

import httpx

from api_gateway.asking import ask
from api_gateway.models import Span
from tickloom.contracts.archives import Archive, plan
from tickloom.contracts.download import DownloadRequest
from tickloom.settings import settings

ASKED = 24
"""Archives of all symbols together, but one of each symbol at least."""
PATIENCE_S = 5.0
BYTES_A_TRADE = (6, 13, 25)
"""Of a zip: least, usual, most. Seven archives of 2019 to 2024, of five symbols, have 9.1 to 15.6."""
SPREAD = 3
"""How far the mean of all archives may be from the mean of those that were asked for."""


def rows_of(request: DownloadRequest) -> tuple[Span, str] | None:
    """Return the trades of a download and how they are known, or None where the exchange does not say."""
    plans, today = plan(request), datetime.now(UTC).date()
    chosen = [_spread([one for one in of if one.published <= today], max(ASKED // len(plans), 1)) for of in plans]
    sizes = _sizes(_base(request), [archive for of in chosen for archive in of])
    if not sizes:
        return None
    n_known = sum(_days(archive, today) for archive in sizes)
    n_days = sum(_days(archive, today) for of in plans for archive in of)
    n_archives = sum(len(of) for of in plans)
    n_bytes = sum(sizes.values()) * n_days / n_known
    spread = 1 if len(sizes) == n_archives else SPREAD
    least, usual, most = BYTES_A_TRADE
    how = f"an estimate by the size of {len(sizes)} of {n_archives} archives, {least} to {most} bytes a trade"
    return Span.of(n_bytes / most / spread, n_bytes / usual, n_bytes / least * spread), how


def _base(request: DownloadRequest) -> str:
    if (request.venue or settings().venue) == "sim":
        return f"{settings().sim()}/datasets/{request.dataset}" if request.dataset else settings().sim()
    return settings().binance_archive_url.rstrip("/")


def _spread(archives: Sequence[Archive], n: int) -> list[Archive]:
    """Return at most `n` of the archives, from the first to the last as evenly as can be."""
    if len(archives) <= n:
        return list(archives)
    return [archives[round(k * (len(archives) - 1) / max(n - 1, 1))] for k in range(n)]


def _days(archive: Archive, today: date) -> int:
    """Return the UTC days of an archive that are over."""
    return max((min(archive.last, date.fromordinal(today.toordinal() - 1)) - archive.first).days + 1, 0)


def _in_turns(archives: Sequence[Archive]) -> list[Archive]:
    """Return the archives in an order of which every beginning is spread over all of them."""
    golden = (5**0.5 - 1) / 2
    return [archives[k] for k in sorted(range(len(archives)), key=lambda k: k * golden % 1)]


def _sizes(base: str, archives: Sequence[Archive]) -> dict[Archive, int]:
    """Return the bytes of the archives up to the first that is not told of; of one that is not there they are 0."""
    sizes: dict[Archive, int] = {}
    give_up = time.monotonic() + PATIENCE_S
    with httpx.Client(timeout=3) as client:
        for archive in _in_turns(archives):
            answer = ask(client, "HEAD", base + archive.path) if time.monotonic() < give_up else None
            length = answer.headers.get("content-length", "") if answer is not None else ""
            if answer is not None and answer.status_code == 404:
                sizes[archive] = 0
            elif answer is not None and answer.status_code == 200 and length.isascii() and length.isdigit():
                sizes[archive] = int(length)
            else:
                break
    return sizes
