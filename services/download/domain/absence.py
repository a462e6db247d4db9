"""What it means that an exchange has no archive of the last day asked for: not yet, no longer, or never."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Final

from services.download.domain.archives import Archive
from services.download.domain.errors import NoSuchArchive, NotPublished

LATE: Final = timedelta(days=7)
"""An archive may come so much later than expected; what is missing after that will not come by waiting."""


def absence(archive: Archive, asked: Mapping[Archive, object], now: datetime) -> NotPublished | NoSuchArchive:
    """Return the error that says why there is no such archive, as far as can be told.

    asked  what is there, or None, of the archives that the same request has asked for
    now    with a time zone
    """
    own = {one: found for one, found in asked.items() if one.symbol == archive.symbol}
    found = [one for one in own if own[one] is not None]
    if not found and any(_expected(one) + LATE <= now for one in own):
        return NoSuchArchive(archive.stem, archive.symbol, "")
    if (expected := _expected(archive)) + LATE <= now:
        return NoSuchArchive(archive.stem, archive.symbol, max(one.last for one in found).isoformat())
    tomorrow = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
    return NotPublished(archive.stem, max(expected, tomorrow).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _expected(archive: Archive) -> datetime:
    return datetime.combine(archive.published, time(), UTC)
