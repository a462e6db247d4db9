"""verify and gc on a lake in a folder, with a ledger of its own."""

import os
import time
from pathlib import Path

import pytest

from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.identity import artifact_id, digest
from tickloom.lake import Lake
from tickloom.lake.maintenance import gc, verify
from tickloom.ledger import ledger_url, migrate, now_us, runs, transaction
from tickloom.ledger.models import Artifact, Run

OLD = time.time() - 30 * 86400


class World:
    """A lake with a chain of two artifacts that the ledger knows, a part each."""

    def __init__(self, home: Path) -> None:
        self.url = ledger_url()
        migrate(self.url)
        self.lake = Lake(str(home / "lake"))
        self.root = home / "lake"
        self.trades = self.lake.add_bytes("BTCUSDT.parquet", b"trades")
        self.bars = self.lake.add_bytes("BTCUSDT.parquet", b"bars")
        self.download = self.artifact("download", (), self.trades)
        self.built = self.artifact("bars", (self.download.id,), self.bars)
        self.part = self.lake.put_part("bars", "a" * 64, Part(files=(self.bars,)))

    def artifact(self, stage: str, inputs: tuple[str, ...], *files: FileEntry, known: bool = True) -> Manifest:
        request = {"stage": stage, "files": [entry.sha256 for entry in files]}
        made = artifact_id(stage, 1, request, inputs)
        manifest = Manifest(id=made, stage=stage, version=1, request=request, inputs=inputs, files=files)
        self.lake.put_manifest(manifest)
        if known:
            with transaction(self.url) as session:
                sha256 = digest(manifest.canonical())
                session.add(Artifact(id=made, stage=stage, manifest_sha256=sha256, rows=0, bytes=0, created=now_us()))
        return manifest

    def object(self, entry: FileEntry) -> Path:
        return self.root / "objects" / entry.sha256[:2] / entry.sha256

    def manifest(self, manifest: Manifest) -> Path:
        return self.root / "manifests" / manifest.id[:2] / f"{manifest.id}.json"

    def part_file(self, key: str) -> Path:
        return self.root / "parts" / "bars" / key[:2] / f"{key}.json"

    def age(self) -> None:
        for path in self.root.rglob("*"):
            os.utime(path, (OLD, OLD))


@pytest.fixture
def world(home: Path) -> World:
    return World(home)


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)


def test_a_sound_lake_has_no_damage_and_every_byte_was_looked_at(world: World) -> None:
    seen = []
    found = verify(world.lake, world.url, progress=lambda done, total: seen.append((done, total)))
    assert (found.manifests, found.parts, found.objects, found.bytes) == (2, 1, 2, 10)
    assert found.damages == []
    assert seen[-1] == (10, 10)


def test_one_changed_byte_is_found_and_its_artifacts_are_named(world: World) -> None:
    overwrite(world.object(world.bars), b"bArs")
    (damage,) = verify(world.lake, world.url).damages
    assert damage.artifacts == (world.built.id,)
    assert damage.parts == (f"parts/bars/aa/{'a' * 64}.json",)
    assert "has SHA-256" in damage.reason
    assert world.object(world.bars).exists(), "nothing is removed without --repair"


def test_a_missing_object_is_found(world: World) -> None:
    world.object(world.trades).unlink()
    (damage,) = verify(world.lake, world.url).damages
    assert damage.reason == "missing: the bytes of BTCUSDT.parquet"


def test_repair_removes_the_object_its_part_its_manifest_and_the_ledgers_row(world: World) -> None:
    overwrite(world.object(world.bars), b"b")
    verify(world.lake, world.url, repair=True)
    assert runs.known_artifacts(world.url) == {world.download.id}
    assert world.lake.find(world.built.id) is None
    assert world.lake.part("bars", "a" * 64) is None
    assert not world.object(world.bars).exists()
    assert world.lake.find(world.download.id) == world.download
    assert verify(world.lake, world.url).damages == []
    again = world.lake.add_bytes("BTCUSDT.parquet", b"bars")
    assert world.lake.read_bytes(again) == b"bars"


def test_a_manifest_that_says_something_else_is_damage(world: World) -> None:
    changed = world.built.model_copy(update={"request": {"threshold": 1}})
    overwrite(world.manifest(world.built), changed.model_dump_json().encode())
    (damage,) = verify(world.lake, world.url).damages
    assert "belongs to artifact" in damage.reason
    files = world.built.model_copy(update={"files": ()})
    overwrite(world.manifest(world.built), files.model_dump_json().encode())
    (damage,) = verify(world.lake, world.url).damages
    assert damage.reason == "is not the manifest that was committed"
    overwrite(world.manifest(world.built), b"{")
    (damage,) = verify(world.lake, world.url, repair=True).damages
    assert damage.reason == "cannot be read"
    assert verify(world.lake, world.url).damages == []


def test_a_lost_manifest_is_missed_by_the_ledger_and_by_what_was_made_from_it(world: World) -> None:
    world.manifest(world.download).unlink()
    reasons = {damage.reason for damage in verify(world.lake, world.url, repair=True).damages}
    assert reasons == {
        "missing: the ledger has this artifact",
        f"missing: {world.built.id[:12]} was made from it",
    }
    assert runs.known_artifacts(world.url) == {world.built.id}


def test_gc_leaves_alone_what_is_young_or_needed(world: World) -> None:
    world.lake.add_bytes("x", b"nobody names this")
    found = gc(world.lake, world.url)
    assert (found.temporary, found.manifests, found.parts, found.objects) == ([], [], [], [])
    world.age()
    world.lake.add_bytes("x", b"nobody names this")  # wanted again: young again
    assert gc(world.lake, world.url).objects == []
    assert verify(world.lake, world.url).damages == []


def test_gc_removes_what_nobody_names(world: World) -> None:
    orphan = world.lake.add_bytes("x", b"nobody names this")
    lost = world.lake.add_bytes("y", b"of a failed run")
    world.lake.put_part("bars", "b" * 64, Part(files=(lost,)))
    cancelled = world.artifact("viz", (world.built.id,), world.lake.add_bytes("z", b"cancelled"), known=False)
    (world.root / "tmp" / "left").mkdir(parents=True)
    (world.root / "tmp" / "left" / "file").write_bytes(b"1234")
    with world.lake.journal("backtest", "c" * 64).writer() as writer:
        writer.append(b"of a run that was cancelled")
    (journal,) = (world.root / "journals" / "backtest" / ("c" * 64)).iterdir()
    n_bytes = journal.stat().st_size
    half = world.lake.unfinished() / ("d" * 64) / "archive.zip"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half an archive")
    world.age()
    told = gc(world.lake, world.url, dry_run=True)
    assert world.object(orphan).exists()
    assert (world.root / "tmp" / "left").exists()
    done = gc(world.lake, world.url)
    assert done == told
    assert done.temporary == ["left", "c" * 64, "d" * 64]
    assert list(world.lake.journal("backtest", "c" * 64).fresh()) == []
    assert done.manifests == [f"manifests/{cancelled.id[:2]}/{cancelled.id}.json"]
    assert done.parts == [f"parts/bars/bb/{'b' * 64}.json"]
    assert len(done.objects) == 3
    assert done.bytes == len(b"1234nobody names thisof a failed runcancelledhalf an archive") + n_bytes
    assert not world.object(orphan).exists()
    assert verify(world.lake, world.url).damages == []
    assert gc(world.lake, world.url).objects == []


def test_gc_keeps_for_a_week_what_a_failed_run_would_go_on_from(world: World) -> None:
    part = world.lake.add_bytes("y", b"of a failed run")
    world.lake.put_part("bars", "b" * 64, Part(files=(part,)))
    world.age()
    yesterday = time.time() - 86400
    os.utime(world.part_file("b" * 64), (yesterday, yesterday))
    assert gc(world.lake, world.url).objects == []
    assert world.lake.read_bytes(part) == b"of a failed run"


def test_gc_keeps_what_a_known_artifact_was_made_from_though_the_ledger_forgot_it(world: World) -> None:
    runs.forget_artifacts(world.url, [world.download.id])
    world.age()
    assert gc(world.lake, world.url).manifests == []
    assert world.lake.read_bytes(world.trades) == b"trades"


def test_gc_with_a_ledger_that_knows_nothing_removes_no_manifest(world: World) -> None:
    runs.forget_artifacts(world.url, [world.download.id, world.built.id])
    world.age()
    found = gc(world.lake, world.url)
    assert (found.manifests, found.objects) == ([], [])


def test_gc_holds_back_while_a_task_is_at_work_or_a_manifest_cannot_be_read(world: World) -> None:
    orphan = world.lake.add_bytes("x", b"nobody names this yet")
    world.age()
    with transaction(world.url) as session:
        row = Run(
            id="1" * 32, kind="bars", name="", state="STARTED", request={}, artifact_id="2" * 64, created=now_us()
        )
        session.add(row)
    found = gc(world.lake, world.url)
    assert found.held_back.startswith("tasks are at work (1)")
    with transaction(world.url) as session:
        session.get_one(Run, "1" * 32).state = "SUCCESS"
    overwrite(world.manifest(world.built), b"{")
    assert "verify --repair" in gc(world.lake, world.url).held_back
    assert world.object(orphan).exists()


def test_verify_and_gc_do_the_same_in_a_folder_and_in_a_bucket(home: Path, lake: Lake) -> None:
    migrate(ledger_url())
    kept, hurt = (lake.add_bytes(f"{text}.parquet", text.encode()) for text in ("kept", "hurt"))
    orphan = lake.add_bytes("orphan", b"nobody names this")
    with transaction(ledger_url()) as session:
        for entry in (kept, hurt):
            request = {"sha256": entry.sha256}
            made = artifact_id("download", 1, request, ())
            manifest = Manifest(id=made, stage="download", version=1, request=request, inputs=(), files=(entry,))
            lake.put_manifest(manifest)
            sha256 = digest(manifest.canonical())
            session.add(Artifact(id=made, stage="download", manifest_sha256=sha256, rows=0, bytes=0, created=now_us()))
    assert verify(lake, ledger_url()).damages == []

    name = f"objects/{hurt.sha256[:2]}/{hurt.sha256}"
    lake.store.delete(name)
    with lake.scratch() as folder:
        (folder / "file").write_bytes(b"hurT")
        lake.store.create(name, folder / "file")
    (damage,) = verify(lake, ledger_url(), repair=True).damages
    assert damage.name == name
    assert verify(lake, ledger_url()).damages == []
    assert len(runs.known_artifacts(ledger_url())) == 1

    assert gc(lake, ledger_url()).objects == []
    assert gc(lake, ledger_url(), young_s=-60).objects == [f"objects/{orphan.sha256[:2]}/{orphan.sha256}"]
    assert not lake.store.exists(f"objects/{orphan.sha256[:2]}/{orphan.sha256}")
    assert lake.read_bytes(kept) == b"kept"
    assert verify(lake, ledger_url()).damages == []
