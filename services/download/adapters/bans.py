"""A host that banned us is left alone until the ban is over, by every process of this machine."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from services.download.domain.errors import ExchangeBanned


class Bans:
    """Notes in a folder, one file per host: until when it must not be asked. They never influence what is stored."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _file(self, host: str) -> Path:
        return self._folder / f"{quote(host, safe='')}.json"

    def check(self, host: str) -> None:
        """Raise ExchangeBanned when the host must not be asked yet."""
        try:
            until = float(json.loads(self._file(host).read_text())["until"])
        except (OSError, ValueError, KeyError):
            return
        if time.time() < until:
            raise ExchangeBanned(host, _text(until))

    def note(self, host: str, wait_s: float) -> ExchangeBanned:
        """Write down a ban, and return the error that says so."""
        until = time.time() + wait_s
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file(host).write_text(json.dumps({"until": until}))
        return ExchangeBanned(host, _text(until))


def _text(until: float) -> str:
    return datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
