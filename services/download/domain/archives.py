"""What an exchange's archives are called, read from a name; `Archive` and `plan` say it the other way round."""

import re
from datetime import date

from tickloom.contracts.archives import Archive, plan

__all__ = ["Archive", "period_of", "plan"]

_STEM = re.compile(r"(?P<symbol>[^/]+)-(?P<kind>trades|aggTrades|\d{1,2}[mhd])-(?P<date>\d{4}-\d\d(-\d\d)?)")


def period_of(stem: str) -> tuple[date, date] | None:
    """Return the first and last day that an archive of this name covers, or None when it is not named like one."""
    match = _STEM.fullmatch(stem)
    if match is None:
        return None
    text = match["date"]
    try:
        first = date.fromisoformat(text if len(text) == 10 else f"{text}-01")
    except ValueError:
        return None
    archive = Archive("spot", match["kind"], "", match["symbol"], first, len(text) == 7)
    return archive.first, archive.last
