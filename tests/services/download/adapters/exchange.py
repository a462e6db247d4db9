"""An exchange with one archive, for respx, and a clock that nobody waits for."""

from datetime import UTC, datetime

import httpx

NAME = "BTCUSDT-trades-2024-01-05.zip"
URL = f"https://exchange.test/data/{NAME}"
DATA = bytes(range(256)) * 400


class Clock:
    """A clock that goes forward when somebody sleeps."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).timestamp()
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def fetched(fetcher, folder):
    """Fetch as the stage does: what the exchange says of the archive, then itself."""
    served = fetcher.checksum(URL)
    return served and fetcher.fetch(URL, served, folder / "a.zip")


class Breaking(httpx.SyncByteStream):
    """A body that ends in an error."""

    def __init__(self, data: bytes, error: Exception) -> None:
        self.data, self.error = data, error

    def __iter__(self):
        yield self.data
        raise self.error
