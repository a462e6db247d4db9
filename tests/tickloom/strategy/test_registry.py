"""S18: Python strategies are installed and allowed, or they do not run."""

from importlib.metadata import EntryPoint

import pytest

from tickloom.settings import settings
from tickloom.strategy import installed
from tickloom.strategy.installed import StrategyNotAllowed, UnknownStrategy
from tickloom.strategy.registry import load

POINTS = {
    "follow": "tickloom.strategy.signals:FollowSignals",
    "none": "tickloom.strategy.rules:Rules",
    "hostile": "a_module_that_must_not_be_imported:Strategy",
}


@pytest.fixture(autouse=True)
def points(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name: EntryPoint(name, value, installed.GROUP) for name, value in POINTS.items()}
    monkeypatch.setattr(installed, "entry_points", lambda group, name: [found[name]] if name in found else [])
    monkeypatch.setenv("TICKLOOM_STRATEGIES_ALLOW", "follow, none ,absent")
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


def test_an_allowed_strategy_is_loaded() -> None:
    assert load("follow").made.__name__ == "FollowSignals"  # type: ignore[union-attr]


def test_what_is_not_allowed_is_not_even_imported() -> None:
    with pytest.raises(StrategyNotAllowed, match="hostile"):
        load("hostile")


@pytest.mark.parametrize(("name", "why"), [("absent", "no installed package"), ("none", "is neither a class")])
def test_what_is_allowed_and_not_there_or_not_a_strategy_says_so(name: str, why: str) -> None:
    with pytest.raises(UnknownStrategy, match=why):
        load(name)


def test_by_default_nothing_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TICKLOOM_STRATEGIES_ALLOW")
    settings.cache_clear()
    with pytest.raises(StrategyNotAllowed):
        load("follow")
