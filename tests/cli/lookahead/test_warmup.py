"""C1c: after as many bars as a feature says that it needs, it no longer matters where the data began."""

from typing import Any

import numpy as np
import pytest

from cli.lookahead.command import lines
from services.features.domain.catalogue import CATALOGUE, Feature
from services.features.kernels.ema import ema
from tests.cli.lookahead.markets import CROSS, SMAS, TICK, pipeline, probed, two_downloads
from tests.cli.lookahead.test_probe import ALL
from tickloom.contracts.artifact import Manifest
from tickloom.settings import settings


def expanding(bars: Any, _: Any, n: int) -> tuple[Any]:
    """The mean of all closes so far: it never forgets, and knows nothing of the future."""
    return (np.cumsum(bars["close"]) / np.arange(1, bars["close"].size + 1),)


def fading(bars: Any, _: Any, n: int) -> tuple[Any]:
    """An exponential average that says it is ready when its window is full."""
    return (ema(bars["close"], 20 * n),)


@pytest.mark.parametrize("compute", [expanding, fading])
def test_c1c_a_feature_that_remembers_the_start_is_named_and_is_not_called_look_ahead(
    source: Manifest, monkeypatch: pytest.MonkeyPatch, compute: Any
) -> None:
    monkeypatch.setitem(CATALOGUE, "sma", Feature(compute, lambda n: n - 1))
    found = probed(source, pipeline(TICK, SMAS, CROSS), cuts=1)
    assert found.leaks == ()
    assert {leak.column for leak in found.unsettled} <= {"sma_2", "sma_4"}
    assert found.unsettled
    assert f"WARM-UP too short in features, column {found.unsettled[0].column} (AAA, row" in lines(found)[1]


@pytest.mark.parametrize("spec", [TICK, {"specs": {"chosen": {"kind": "time", "interval": "30m"}, "other": TICK}}])
def test_c1c_the_features_of_the_catalogue_settle_when_they_say_so(source: Manifest, spec: Any) -> None:
    both = two_downloads(settings().import_dir)
    found = probed(both, pipeline(spec, [*ALL, {"name": "donchian", "timeperiod": 3}]), cuts=1)
    assert (found.unsettled, found.starts) == ((), 2)
    assert lines(found)[1] == "Features forget where the data began: 2 later beginnings."
