"""Tasks of the download stage: one archive, or one imported file, each."""

import fcntl
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import httpx

from services.download.adapters import imports
from services.download.adapters.archive import open_member
from services.download.adapters.bans import Bans
from services.download.adapters.fetch import Fetcher, Patience
from services.download.adapters.ingest import Source, ingest
from services.download.domain.archives import Archive, period_of
from services.download.domain.errors import FileUnreadable
from services.download.domain.layouts import Layout, layout_of
from services.download.domain.quality import Quality
from tickloom.contracts.artifact import Part
from tickloom.errors import LakeUnavailable
from tickloom.lake import Lake

STAGE = "download"


@dataclass(frozen=True)
class Exchange:
    """Where archives come from. None of this influences what is stored."""

    base_url: str
    notes: Path  # folder for locks and bans, shared by the processes of one machine
    proxied: bool  # by the environment's proxy settings: for the real exchange, not for the simulator
    patience: Patience


@dataclass(frozen=True)
class Import:
    """One file of the import folder and what to read from it."""

    path: str
    sha256: str
    symbol: str
    market: str
    data_type: str
    interval: str
    first: date | None
    last: date | None


def fetch_archive(lake: Lake, exchange: Exchange, archive: Archive, key: str) -> Part | None:
    """Download an archive and store its partitions; return None when the exchange has none (404).

    Errors are those of Fetcher.fetch, open_member and ingest.
    """
    with _alone(exchange.notes, key), lake.scratch() as scratch:
        part = lake.part(STAGE, key)  # somebody else may have made it while we waited
        if part is not None:
            return part
        zipped = scratch / "archive.zip"
        with httpx.Client(timeout=exchange.patience.timeout(), trust_env=exchange.proxied) as client:
            fetcher = Fetcher(client, Bans(exchange.notes / "bans"), exchange.patience)
            try:
                fetched = fetcher.fetch(exchange.base_url + archive.path, zipped)
            except OSError as error:  # of the disk: the network's have names of their own
                raise LakeUnavailable(lake.url, str(error)) from error
        if fetched is None:
            return None
        layout = layout_of(archive.market, archive.data_type)
        name = f"{archive.stem}.zip"
        source = Source(name, archive.symbol, layout, archive.interval, archive.first, archive.last, archive.stem)
        quality = Quality(name, fetched.served_sha256, fetched.computed_sha256, fetched.bytes)
        with open_member(zipped, name, f"{archive.stem}.csv") as chunks:
            return lake.put_part(STAGE, key, ingest(lake, scratch, source, chunks, quality))


def import_file(lake: Lake, folder: Path, work: Import, key: str) -> Part:
    """Import one file and store its partitions. Errors are those of adapters.imports, open_member and ingest."""
    with lake.scratch() as scratch:
        part = lake.part(STAGE, key)
        if part is not None:
            return part
        # A copy of our own: the file could change between the check of its hash and the last read.
        named = imports.resolve(folder, work.path)
        file = scratch / f"source{''.join(named.suffixes[-2:])}"
        shutil.copyfile(named, file)
        imports.check_sha256(file, work.path, work.sha256)
        quality = Quality(work.path, work.sha256, work.sha256, file.stat().st_size)
        if file.suffix == ".zip":
            period = period_of(named.stem)
            with open_member(file, work.path, None) as chunks:
                source = _source(work, layout_of(work.market, work.data_type), period)
                part = ingest(lake, scratch, source, chunks, quality)
        else:
            text, layout = _table(file, work)
            part = ingest(lake, scratch, _source(work, layout, None), text, quality)
        return lake.put_part(STAGE, key, part)


def _source(work: Import, layout: Layout, period: tuple[date, date] | None) -> Source:
    first, last = work.first or date(1970, 1, 1), work.last or date(9999, 12, 31)
    if period is not None:
        first, last = max(first, period[0]), min(last, period[1])
    record = f"{work.symbol}-{work.interval or work.data_type}"
    return Source(work.path, work.symbol, layout, work.interval, first, last, record, whole=period is not None)


def _table(file: Path, work: Import) -> tuple[Iterable[bytes], Layout]:
    """Return the text of a file that is not a zip, and its layout."""
    if not file.name.endswith(imports.TABLES):
        raise FileUnreadable(work.path, f"it is none of {', '.join(imports.TABLES)} and .zip")
    is_text = file.name.endswith((".csv", ".csv.gz"))
    if is_text and (not work.interval or imports.is_plain_klines(file)):
        return imports.text_chunks(file), layout_of(work.market, work.data_type)
    if not work.interval:
        raise FileUnreadable(work.path, "trades are read from the exchange's own .zip or .csv alone")
    text, layout = imports.klines_text(file, work.path, work.symbol)
    return [text], layout


@contextmanager
def _alone(notes: Path, key: str) -> Iterator[None]:
    """Let one process of this machine work on a key at a time: ten jobs that want one archive download it once."""
    folder = notes / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / key).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
