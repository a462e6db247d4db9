"""What both stores promise: a name is absent or whole, and never changes."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.tickloom.hostile import NAMES
from tests.tickloom.lake.conftest import BUCKET, Place
from tickloom.errors import LakeUnavailable
from tickloom.lake import Lake
from tickloom.lake.store import Store, open_store

SIZE = 200_000


@pytest.fixture
def store(place: Place) -> Store:
    return open_store(place.url, place.endpoint)


def file_of(lake: Lake, content: bytes) -> Path:
    """A source to publish, made where the store can link from it; the test's folder cleans up."""
    with lake.scratch() as folder:
        name = folder.name
    folder = Path(folder.parent) / f"{name}-kept"
    folder.mkdir()
    path = folder / "file"
    path.write_bytes(content)
    return path


def test_a_name_that_is_taken_is_left_as_it_is(lake: Lake) -> None:
    assert lake.store.create("a/b/c", file_of(lake, b"first"))
    assert not lake.store.create("a/b/c", file_of(lake, b"second"))
    assert lake.store.read("a/b/c") == b"first"


def test_a_file_larger_than_one_part_of_an_upload_is_not_overwritten_either(lake: Lake) -> None:
    large = os.urandom(12 << 20)
    assert lake.store.create("large", file_of(lake, large))
    assert not lake.store.create("large", file_of(lake, large[::-1]))
    assert lake.store.read("large") == large


def test_a_name_that_is_not_there_is_a_missing_file(store: Store) -> None:
    assert not store.exists("a/b")
    for look in (store.read, store.modified):
        with pytest.raises(FileNotFoundError):
            look("a/b")
    store.delete("a/b")  # nothing to do, and no error


def test_names_are_listed_with_their_sizes_and_without_the_place(lake: Lake) -> None:
    lake.store.create("x/1", file_of(lake, b"1"))
    lake.store.create("x/y/22", file_of(lake, b"22"))
    lake.store.create("z/333", file_of(lake, b"333"))
    assert sorted(lake.store.names("x")) == [("x/1", 1), ("x/y/22", 2)]
    assert {name for name, _ in lake.store.names("") if not name.startswith("tmp/")} == {"x/1", "x/y/22", "z/333"}
    lake.store.delete("x/1")
    assert not lake.store.exists("x/1")
    assert sorted(lake.store.names("x")) == [("x/y/22", 2)]


def test_a_name_tells_when_it_was_made(lake: Lake) -> None:
    lake.store.create("x", file_of(lake, b"1"))
    assert abs(lake.store.modified("x") - time.time()) < 5


def test_a_name_wanted_again_is_young_again(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.store.create("x", file_of(lake, b"1"))
    os.utime(tmp_path / "x", (1, 1))
    lake.store.create("x", file_of(lake, b"1"))
    assert abs(lake.store.modified("x") - time.time()) < 5


def test_of_sixteen_threads_that_create_a_name_one_does_and_its_bytes_are_whole(lake: Lake) -> None:
    sources = [file_of(lake, bytes([i]) * SIZE) for i in range(16)]
    with ThreadPoolExecutor(16) as threads:
        created = list(threads.map(lambda source: lake.store.create("race", source), sources))
    assert created.count(True) == 1
    assert lake.store.read("race") == bytes([created.index(True)]) * SIZE


def create_all(place: Place, number: int, names: int) -> list[bool]:
    lake = place.lake()
    source = file_of(lake, bytes([number]) * SIZE)
    return [lake.store.create(f"race/{i}", source) for i in range(names)]


@pytest.fixture(scope="module")
def processes(s3_server: str) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def test_of_three_processes_that_create_thirty_names_each_name_has_one_maker_and_is_whole(
    place: Place, processes: ProcessPoolExecutor
) -> None:
    names = 30
    made = list(processes.map(create_all, [place] * 3, range(3), [names] * 3))
    store = open_store(place.url, place.endpoint)
    for i, created in enumerate(zip(*made, strict=True)):
        assert created.count(True) == 1
        assert store.read(f"race/{i}") == bytes([created.index(True)]) * SIZE


def test_none_of_200_hostile_names_leads_out_of_the_lake(place: Place, lake: Lake, tmp_path: Path) -> None:
    source = file_of(lake, b"hostile")
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "lake")}
    refused = 0
    for name in NAMES:
        try:
            lake.store.create(f"objects/{name}", source)
        except (ValueError, LakeUnavailable):  # a name too long, or one that the server refuses
            refused += 1
    assert refused > 50
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "lake")} == before
    assert all(name.startswith(("objects/", "tmp/")) for name, _ in lake.store.names(""))


@pytest.mark.parametrize("name", ["", "/", "../x", "a/../../x", "/etc/passwd", "a//b", ".", "a/..", "a\\b", "a\0b"])
@pytest.mark.parametrize("call", ["read", "exists", "local", "delete", "modified", "create"])
def test_every_call_refuses_a_name_that_is_a_path(store: Store, name: str, call: str) -> None:
    if call == "local" and not hasattr(store, "root"):
        pytest.skip("a bucket has no local paths")
    with pytest.raises(ValueError, match="is not a name in the lake"):
        getattr(store, call)(name, *([Path(__file__)] if call == "create" else []))


def test_a_symbolic_link_out_of_the_lake_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "door").symlink_to(tmp_path)
    store = open_store(str(tmp_path / "lake"))
    with pytest.raises(ValueError, match="leads out of the lake"):
        store.read("door/secret")


def test_a_lake_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file, not a folder")
    with pytest.raises(LakeUnavailable, match=r"lake at .* fails"):
        Lake(str(tmp_path / "lake")).add_bytes("x", b"x")


def test_an_s3_server_that_is_gone_or_lacks_the_bucket_is_a_lake_unavailable_soon(s3_server: str) -> None:
    begun = time.monotonic()
    for store in (open_store("s3://nobody", s3_server), open_store(f"s3://{BUCKET}", "http://127.0.0.1:1")):
        with pytest.raises(LakeUnavailable):
            store.create("x", Path(__file__))
        with pytest.raises(LakeUnavailable):
            list(store.names("x"))
    assert time.monotonic() - begun < 30
