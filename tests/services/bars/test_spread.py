"""Days that are built side by side: the bars are those of one day after another."""

from dataclasses import replace

import pytest

from services.bars import job, remote
from services.bars.adapters.partitions import load_trades
from services.bars.domain import build, ends, summary
from tests.services.bars.runs import DAY_US, T0, call_of, columns, imported, run, run_several, write_trades
from tests.services.bars.specs import NAMED, SPECS, in_another_lake
from tickloom.contracts.bars import bars_of
from tickloom.errors import InvalidRequest
from tickloom.fanout import Place, fold_chains
from tickloom.lake import open_lake
from tickloom.settings import settings


@pytest.fixture
def wide(monkeypatch):
    """There is room for many tasks, and they can be given what others kept; they run here, in any order."""

    def here(function):
        def call(*args, **options):
            return function(*args, **{**options, "small": True})

        return call

    monkeypatch.setattr(job, "SMALL_ROWS", 0)
    monkeypatch.setattr(job, "BATCH_ROWS", 200)  # days of 120 trades: one each
    monkeypatch.setattr(job, "place", lambda _: Place(8, keeps=True))
    monkeypatch.setattr(job, "map_unordered", here(job.map_unordered))
    monkeypatch.setattr(job, "fold_chains", lambda chains, *args, **options: backwards(chains, *args, **options))


def backwards(chains, step, **_):
    """Run the last chain first: what is built side by side does not wait for what is before it."""
    for index, chain in reversed(list(enumerate(chains))):
        for _, result in fold_chains([chain], step, small=True):
            yield index, result


def test_c2_days_that_do_not_wait_for_each_other_make_the_same_bytes(source, monkeypatch, tmp_path, request):
    folded = run_several(source, NAMED)
    again = in_another_lake(monkeypatch, tmp_path / "other")
    request.getfixturevalue("wide")
    built = []
    monkeypatch.setattr(job, "fold", lambda *args: built.append(args[2:4]) or remote.fold(*args))
    assert run_several(again, NAMED) == folded
    waited = [before.keys() for days, before in built if days[0].name == "AAA/2024-01-11.parquet"]
    ahead = {
        name for name, spec in NAMED.items() if "tick_" not in spec["kind"] and spec["kind"] not in ("range", "renko")
    }
    assert sorted(map(sorted, waited)) == [sorted(ahead), sorted(set(NAMED) - ahead)]


def test_c2_the_units_in_which_trades_are_split_are_those_of_the_days_before_wherever_it_runs(
    imports, request, monkeypatch, tmp_path
):
    rows = [(i, T0 + i * DAY_US // 40, "101.1", f"{7 + i % 5 + (i > 90) * 0.25:.2f}", True) for i in range(200)]
    files = write_trades(imports, "AAA", rows)
    specs = {"a": {"kind": "dollar", "threshold": "150.5", "excess": "split"}, "b": {"kind": "tick", "threshold": 7}}
    folded = run_several(imported(data_type="trades", files=files), specs)
    monkeypatch.setenv("TICKLOOM_HOME", str(tmp_path / "other"))
    settings.cache_clear()
    request.getfixturevalue("wide")
    monkeypatch.setattr(job, "BATCH_ROWS", 1)
    assert run_several(imported(data_type="trades", files=files), specs) == folded
    first = columns(bars_of(folded, "a"), "AAA")
    assert first["volume"][0] == 2  # lots of 1
    assert first["volume"][-1] < 2


def test_c2_a_longer_range_reads_only_its_new_days_wherever_it_runs(source, wide, monkeypatch):
    short = imported(data_type="trades", files={"AAA": "AAA.csv"}, start_date="2024-01-05", end_date="2024-01-07")
    whole, read = imported(data_type="trades", files={"AAA": "AAA.csv"}), []
    few = run_several(short, NAMED)
    monkeypatch.setattr(remote, "load_trades", lambda *args, **_: read.append(args[1].name) or load_trades(*args))
    many = run_several(whole, NAMED)
    # The day in which the shorter file ended is read again, for the bars that close by the clock.
    assert sorted(read) == [f"AAA/2024-01-{day:02}.parquet" for day in (7, 8, 9, 10, 11)]
    names = {entry.name for entry in few.files if "2024-01-07" not in entry.name}
    assert [e for e in many.files if e.name in names] == [e for e in few.files if e.name in names]
    read.clear()
    run(short, kind="tick", threshold=19)
    run(whole, kind="tick", threshold=19)
    assert len(read) == 7


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("block", [7, 1 << 19])
def test_c2_how_many_pieces_are_too_many_depends_on_the_day_alone(source, request, monkeypatch, spread, block):
    if spread:
        request.getfixturevalue("wide")
    monkeypatch.setattr(build, "BLOCK", block)
    specs = {"ticks": SPECS[0], "fine": {"kind": "volume", "threshold": "0.1", "excess": "split", "reset": "daily"}}
    monkeypatch.setattr(ends, "MOST_PIECES", 1000)
    with pytest.raises(InvalidRequest, match=r"specs.fine.threshold: it cuts the trades of one day into up to 1\d\d\d"):
        run_several(source, specs)
    with pytest.raises(InvalidRequest, match=r"spec.threshold: it cuts"):
        run(source, kind="volume", threshold="0.1", excess="split")
    monkeypatch.setattr(ends, "MOST_PIECES", 2000)
    assert run_several(source, specs).facts["bars"]["fine"]["symbols"]["AAA"]["n_bars"] > 7000


def test_a_day_that_does_not_continue_the_one_before_it_is_not_published(source, wide, monkeypatch):
    ahead = job.composed
    monkeypatch.setattr(job, "composed", lambda *args: replace(ahead(*args), latest=1))
    with pytest.raises(summary.NotContinued, match=r"AAA: the bars of AAA/2024-01-06\.parquet"):
        run(source, kind="volume", threshold="9.5")
    assert open_lake().find(call_of(source, kind="volume", threshold="9.5").artifact_id) is None
