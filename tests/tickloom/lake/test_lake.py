"""What the lake promises of artifacts, over a folder and over S3."""

import json
import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.tickloom.hostile import NAMES
from tests.tickloom.lake.conftest import Place
from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.errors import CorruptFile, UnknownArtifact, UnknownFile
from tickloom.identity import artifact_id, digest
from tickloom.lake import Lake, decimals, open_lake
from tickloom.settings import settings

KEY = digest("a partition")


def trades(n: int = 2000, seed: int = 1) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "trade_id": np.arange(n),
            "ts": np.cumsum(rng.integers(0, 10**6, n)),
            "price": decimals(rng.integers(1, 10**9, n), 2),
            "quantity": decimals(rng.integers(1, 10**9, n), 8),
            "is_buyer_maker": rng.choice([True, False], n),
        }
    )


def manifest_of(*files: FileEntry, inputs: tuple[str, ...] = (), stage: str = "bars", **facts: object) -> Manifest:
    request = {"spec": {"kind": "tick", "threshold": 5}}
    name = artifact_id(stage, 1, request, inputs)
    return Manifest(id=name, stage=stage, version=1, request=request, inputs=inputs, files=files, facts=facts)


def test_a_table_comes_back_as_it_went_in(lake: Lake) -> None:
    entry = lake.add_table("BTCUSDT/2022-01-03.parquet", trades(), facts={"scale": 2})
    assert lake.read_table(entry).equals(trades())
    assert lake.read_table(entry, ["price", "ts"]).equals(trades().select(["price", "ts"]))
    assert (entry.name, entry.rows, entry.facts) == ("BTCUSDT/2022-01-03.parquet", 2000, {"scale": 2})
    assert entry.bytes == len(lake.read_bytes(entry))


def test_bytes_come_back_and_are_kept_once_under_their_digest(lake: Lake) -> None:
    first, second = lake.add_bytes("a", b"same"), lake.add_bytes("b", b"same")
    assert first.sha256 == second.sha256 == sha256(b"same").hexdigest()
    assert lake.read_bytes(second) == b"same"
    assert [size for _, size in lake.store.names("objects")] == [4]


def test_a_manifest_is_found_once_it_is_put_and_the_first_one_stays(lake: Lake) -> None:
    manifest = manifest_of(lake.add_bytes("x", b"1"), made="first")
    assert lake.find(manifest.id) is None
    assert lake.put_manifest(manifest) == manifest == lake.manifest(manifest.id)
    assert lake.put_manifest(manifest_of(made="second")) == manifest
    assert lake.manifest(manifest.id).facts == {"made": "first"}


def test_a_part_just_made_names_its_facts_in_the_order_of_one_that_is_found(lake: Lake) -> None:
    """Else what is written of them would differ between a run and one that went on after a kill."""
    made = lake.put_part("backtest", KEY, Part(facts={"total": 1.5, "n": {"won": 1, "lost": 2}}))
    found = lake.part("backtest", KEY)
    assert found is not None
    assert json.dumps(made.facts) == json.dumps(found.facts) == '{"n": {"lost": 2, "won": 1}, "total": 1.5}'


def test_a_part_is_found_again_and_the_first_one_stays(lake: Lake) -> None:
    assert lake.part("bars", KEY) is None
    part = Part(files=(lake.add_bytes("x", b"1"),), facts={"carry": 7, "share": 0.1})
    assert lake.put_part("bars", KEY, part) == part == lake.part("bars", KEY)
    assert lake.put_part("bars", KEY, Part()) == part


def test_what_is_not_there_is_named_in_the_error(lake: Lake) -> None:
    manifest = manifest_of(lake.add_bytes("x", b"1"))
    with pytest.raises(UnknownArtifact, match=manifest.id):
        lake.manifest(manifest.id)
    with pytest.raises(UnknownFile, match="no file 'y'"):
        lake.entry(manifest, "y")
    with pytest.raises(CorruptFile, match="not in the lake"):
        lake.read_bytes(FileEntry(name="y", sha256="0" * 64, bytes=1))


def test_an_ancestor_is_found_along_the_inputs(lake: Lake) -> None:
    first = lake.put_manifest(manifest_of(stage="download"))
    second = lake.put_manifest(manifest_of(stage="bars", inputs=(first.id,)))
    third = manifest_of(stage="features", inputs=(second.id,))
    assert lake.ancestor(third, "download") == first
    assert lake.ancestor(third, "features") == third
    with pytest.raises(UnknownArtifact, match="signals"):
        lake.ancestor(third, "signals")


@pytest.mark.parametrize("name", [*NAMES, "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_an_id_that_is_a_path_is_an_unknown_artifact(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownArtifact):
        Lake(str(tmp_path)).manifest(name)


def test_scratch_is_gone_afterwards_also_after_an_error(lake: Lake) -> None:
    def fail() -> None:
        with lake.scratch() as folder:
            seen.append(folder)
            (folder / "deep").mkdir()
            (folder / "deep" / "file").write_text("x")
            raise RuntimeError("on the way")

    seen: list[Path] = []
    with pytest.raises(RuntimeError, match="on the way"):
        fail()
    lake.add_table("t", trades(3))
    assert not seen[0].exists()
    assert not [name for name, _ in lake.store.names("tmp")]


def test_a_lake_reaches_another_process_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lake = Lake("relative")
    entry = lake.add_bytes("x", b"there")
    code = (
        "import sys; from multiprocessing.reduction import ForkingPickler as p\n"
        "lake, entry = p.loads(sys.stdin.buffer.read()); print(lake.read_bytes(entry).decode())"
    )
    from multiprocessing.reduction import ForkingPickler

    told = subprocess.run(
        [sys.executable, "-c", code], input=bytes(ForkingPickler.dumps((lake, entry))), cwd="/", capture_output=True
    )
    assert told.stdout == b"there\n", told.stderr


def test_the_lake_of_the_settings_follows_the_settings(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Path(open_lake().url) == home / "lake"
    assert open_lake() is open_lake()
    other = tmp_path_factory.mktemp("other")
    monkeypatch.setenv("TICKLOOM_HOME", str(other))
    settings.cache_clear()
    assert Path(open_lake().url) == other / "lake"


# F13: bits that flip on the disk ---------------------------------------------------------------------------------


def flipped(data: bytes, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


@pytest.mark.parametrize("columns", [None, ["price"]])
def test_none_of_300_flipped_bits_and_50_truncations_of_a_stored_table_goes_unseen(
    tmp_path: Path, columns: list[str] | None
) -> None:
    lake = Lake(str(tmp_path))
    entry = lake.add_table("t.parquet", trades())
    path = lake.path(entry)
    assert path is not None
    whole, rng = path.read_bytes(), random.Random(13)
    footer = int.from_bytes(whole[-8:-4], "little") + 8
    places = [rng.randrange(len(whole) * 8) for _ in range(200)]
    places += [rng.randrange((len(whole) - footer) * 8, len(whole) * 8) for _ in range(100)]
    for damaged in [*(flipped(whole, bit) for bit in places), *(whole[: rng.randrange(len(whole))] for _ in range(50))]:
        path.write_bytes(damaged)
        with pytest.raises(CorruptFile):
            lake.read_table(entry, columns)
    path.write_bytes(whole)
    assert lake.read_table(entry).equals(trades())


def test_none_of_300_flipped_bits_of_a_manifest_or_a_part_goes_unseen(tmp_path: Path) -> None:
    lake, rng = Lake(str(tmp_path)), random.Random(14)
    entry = lake.add_bytes("x", b"1", rows=5, facts={"price_scale": 2})
    manifest = lake.put_manifest(manifest_of(entry, n_rows=12345, share=0.125))
    part = lake.put_part("bars", KEY, Part(files=(entry,), facts={"carry": 98765}))
    for name, look, right in (
        (f"manifests/{manifest.id[:2]}/{manifest.id}.json", lambda: lake.find(manifest.id), manifest),
        (f"parts/bars/{KEY[:2]}/{KEY}.json", lambda: lake.part("bars", KEY), part),
    ):
        path = tmp_path / name
        whole = path.read_bytes()
        for _ in range(150):
            path.write_bytes(flipped(whole, rng.randrange(len(whole) * 8)))
            with pytest.raises(CorruptFile):
                look()
        path.write_bytes(whole[:-1])
        with pytest.raises(CorruptFile):
            look()
        path.write_bytes(whole)
        assert look() == right


def test_a_manifest_under_another_ones_name_is_refused(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    one, other = (lake.put_manifest(manifest_of(stage=stage)) for stage in ("bars", "features"))
    paths = [tmp_path / "manifests" / m.id[:2] / f"{m.id}.json" for m in (one, other)]
    paths[0].replace(paths[1])
    with pytest.raises(CorruptFile, match=one.id):
        lake.find(other.id)


def test_bytes_that_changed_in_a_bucket_are_seen_too(s3_server: str) -> None:
    import boto3

    lake = Place("s3://lake/changed", s3_server).lake()
    entry = lake.add_table("t", trades(10))
    key = f"changed/objects/{entry.sha256[:2]}/{entry.sha256}"
    boto3.client("s3", endpoint_url=s3_server).put_object(Bucket="lake", Key=key, Body=b"something else")
    with pytest.raises(CorruptFile, match="SHA-256"):
        lake.read_table(entry)
