"""The probe's runs side by side, on a real Ray head and on local processes: the very finding of a probe made here."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.lookahead import run as probing
from cli.lookahead.compare import Compared
from cli.lookahead.cuts import Cut
from cli.lookahead.run import Work, run_cut
from tests.cli.lookahead.bugs import BUGS
from tests.cli.lookahead.markets import pipeline, probed
from tests.ray_head import RayHead
from tickloom.contracts.artifact import Manifest
from tickloom.fanout import fold
from tickloom.lake import open_lake
from tickloom.settings import settings


def clean_cut(work: Work, cut: Cut) -> Compared:
    """Do what run_cut does, and leave a note of where that was: in the lake's parent."""
    import ray

    places = Path(work.source.url).parent / "places"
    (places / f"{'ray' if ray.is_initialized() else 'pool'}-{os.getpid()}").touch()
    return run_cut(work, cut)


def buggy_cut(work: Work, cut: Cut) -> Compared:
    """Do the same in a process with a bug planted in it."""
    with pytest.MonkeyPatch.context() as patch:
        BUGS["shift(-1)"][0](patch)
        return clean_cut(work, cut)


@pytest.fixture(params=["ray", "pool"])
def place(request: pytest.FixtureRequest, source: Manifest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the runs go that are not made here: not even the smallest are."""
    assert source
    if request.param == "ray":
        head: RayHead = request.getfixturevalue("ray_head")
        monkeypatch.setenv("TICKLOOM_RAY_ADDRESS", head.address)
        settings.cache_clear()
    monkeypatch.setattr(probing, "SMALL_ROWS", 0)
    yield request.param
    if (connected := fold._cluster._head) is not None:
        connected.drop()  # later tests have no address of a head, and nothing is to look for one
    settings.cache_clear()


@pytest.mark.parametrize("has_bug", [True, False], ids=["a planted bug", "a clean strategy"])
def test_a_probe_elsewhere_finds_what_a_probe_here_finds(
    source: Manifest, place: str, probe_home: Path, monkeypatch: pytest.MonkeyPatch, has_bug: bool
) -> None:
    if has_bug:
        BUGS["shift(-1)"][0](monkeypatch)
    with monkeypatch.context() as here:
        here.setattr(probing, "SMALL_ROWS", 10**12)
        expected = probed(source, pipeline(), cuts=2, seed=1)
    (probe_home / "places").mkdir()
    monkeypatch.setattr(probing, "run_cut", buggy_cut if has_bug else clean_cut)
    warnings: list[str] = []
    found = probing.probe(open_lake(), source, pipeline(), cuts=2, seed=1, warn=warnings.append)
    places = [note.name.split("-") for note in (probe_home / "places").iterdir()]
    shutil.rmtree(probe_home / "places")
    assert warnings == []
    assert {kind for kind, _ in places} == {place}
    assert str(os.getpid()) not in {pid for _, pid in places}
    assert found == expected
    assert [leak.stage for leak in found.leaks[:1]] == (["features"] if has_bug else [])
