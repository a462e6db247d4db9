"""Fixtures of what asks an exchange: no pause is waited for."""

import httpx
import pytest

from services.download.adapters import fetch
from services.download.adapters.fetch import Fetcher, Patience
from tests.services.download.adapters.exchange import DATA, NAME, URL, Clock
from tests.services.download.sources import checksum
from tickloom.limiter import Limiter


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(fetch.time, "sleep", clock.sleep)
    return clock


@pytest.fixture
def pauses(clock):
    """Every pause that was made, none of them waited for."""
    return clock.slept


@pytest.fixture
def limiter(clock):
    return Limiter("", {"exchange.test": 60_000}, clock)


@pytest.fixture
def fetcher(limiter):
    return Fetcher(httpx.Client(), limiter, Patience(backoff_s=1.0))


@pytest.fixture
def right_checksum(respx_mock):
    return respx_mock.get(URL + ".CHECKSUM").respond(text=checksum(DATA, NAME))
