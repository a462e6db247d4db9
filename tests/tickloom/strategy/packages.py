"""Strategy packages, installed as a package manager leaves them: modules, and their entry points beside them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import invalidate_caches
from pathlib import Path
from shutil import rmtree

import pytest

from tickloom.settings import settings
from tickloom.strategy import registry

MODULE = """
from math import nan
from typing import NamedTuple

from tickloom.strategy.compiled import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, CompiledStrategy
from tickloom.strategy.strategy import Strategy


class Parameters(NamedTuple):
    span: int = 10
    gap_rate: float = 0.0


class State(NamedTuple):
    mean: float


def start(parameters):
    return State(nan)


def decide(bar, account, state, parameters):
    mean = bar.close if bar.number == 0 else state.mean + 2 / (parameters.span + 1) * (bar.close - state.mean)
    if bar.close > mean * (1 + parameters.gap_rate):
        return LONG_ENTRY, State(mean)
    return (LONG_EXIT if bar.close < mean else 0), State(mean)


def looks_at_the_account(bar, account, state, parameters):
    return (LONG_EXIT if account.position > 0 else LONG_ENTRY), state


def no_mask(bar, account, state, parameters):
    return (64 if bar.number == 5 else 0), state


def fails(parameters):
    raise RuntimeError("nothing to begin with")


class Callbacks(Strategy):
    pass


mean = CompiledStrategy(decide, start, Parameters)
aware = CompiledStrategy(looks_at_the_account, start, Parameters)
odd = CompiledStrategy(no_mask, start, Parameters)
broken = CompiledStrategy(decide, fails, Parameters)
"""
NAMES = ("mean", "aware", "odd", "broken", "Callbacks")


def install(folder: Path, package: str, *, version: str = "1.0", code: str = MODULE) -> None:
    """Install `package`, or install it anew; its strategies are called <package>-mean, <package>-aware, ..."""
    (folder / package).mkdir(parents=True, exist_ok=True)
    (folder / package / "__init__.py").write_text("")
    (folder / package / "code.py").write_text(code)
    for old in folder.glob(f"{package}-*.dist-info"):
        rmtree(old)
    info = folder / f"{package}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    points = "".join(f"{package}-{name.lower()} = {package}.code:{name}\n" for name in NAMES)
    (info / "entry_points.txt").write_text(f"[tickloom.strategies]\n{points}")
    invalidate_caches()


@contextmanager
def allowed(monkeypatch: pytest.MonkeyPatch, folder: Path, names: str) -> Iterator[None]:
    """Let strategies below `folder` be found, and these be run. What was imported is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("TICKLOOM_STRATEGIES_ALLOW", names)
    settings.cache_clear()
    yield
    forget(folder)
    settings.cache_clear()


def forget(folder: Path) -> None:
    """Forget what was imported from below a folder, as a new process has."""
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(folder):
            del sys.modules[name]
    registry._loaded.clear()
