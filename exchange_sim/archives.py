"""Makes archives, day by day, and keeps them on disk: equal URLs get equal bytes, made once.

The zip is a function of the dataset and the name alone: fixed member times, fixed compression, no clock. (The
compressed bytes also depend on the zlib that Python was built with; the CSV inside does not.)
"""

import hashlib
import os
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import BinaryIO

import numpy as np

from exchange_sim.calendar import HORIZON, random_stream
from exchange_sim.csvtext import AggTradesTable, Form, KlinesTable, Table, TradesTable, form_of
from exchange_sim.dataset import Dataset
from exchange_sim.faults import changes_bytes, edit_rows, plan_rows
from exchange_sim.intervals import DAY_US, Grid
from exchange_sim.market import MadeMarket
from exchange_sim.names import LONGER_THAN_A_DAY, ArchiveName
from exchange_sim.symbols import SYMBOLS
from exchange_sim.trades import EPOCH

LAYOUT = "v1"  # names a new cache folder whenever the same URL would give other bytes than before
_CHUNK_ROWS = 400_000
_BYTES_PER_ROW = 130  # no line is longer; decides on zip64 before the size is known
_LEVEL = 1
_BOMB_BYTES = 256 * 2**20
_FAULT_STREAM = 9
_ABANDONED_S = 6 * 3600


@dataclass(frozen=True)
class StoredArchive:
    """A finished archive on disk."""

    path: Path
    sha256: str
    size: int


def is_listed(archive: ArchiveName) -> bool:
    """Tell whether the exchange has any day of this archive: symbol, market, listing day, and the end of time."""
    spec = SYMBOLS.get(archive.symbol)
    rules = spec.rules(archive.market) if spec else None
    return rules is not None and archive.end_day > rules.listed and archive.complete_on() < HORIZON


class ArchiveStore:
    """Archives under one folder. Safe for threads, and for several processes that share the folder."""

    def __init__(self, root: Path, n_at_once: int = 2) -> None:
        self._root = root / LAYOUT
        self._parts = root / "parts"
        self._parts.mkdir(parents=True, exist_ok=True)
        self._busy = threading.BoundedSemaphore(n_at_once)
        self._waiting: dict[str, tuple[threading.Lock, int]] = {}
        self._lock = threading.Lock()
        self.n_made = 0
        for part in self._parts.iterdir():  # left by a process that was killed
            if time.time() - part.stat().st_mtime > _ABANDONED_S:
                part.unlink(missing_ok=True)

    def get(self, dataset: Dataset, archive: ArchiveName) -> StoredArchive:
        """Return an archive, made now if it is not on disk. Callers of one archive wait for one making of it."""
        fault = dataset.fault_for(archive.stem + ".zip")
        fault = fault if changes_bytes(fault) else ""
        key = f"seed={dataset.seed},trades_per_day={dataset.trades_per_day}{fault and ',fault=' + fault}/{archive.path}"
        path = self._root / key
        with self._only_one(key):
            found = _find(path)
            if found is None:
                with self._busy:
                    found = self._make(path, dataset, archive, fault)
                self.n_made += 1
            return found

    def _make(self, path: Path, dataset: Dataset, archive: ArchiveName, fault: str) -> StoredArchive:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = self._parts / uuid.uuid4().hex
        try:
            with part.open("w+b") as file:
                _write(file, dataset, archive, fault)
                file.seek(0)
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                size = os.fstat(file.fileno()).st_size
            note = part.with_suffix(".sha256")
            note.write_text(f"{sha256} {size}")
            note.replace(_note(path))  # first the note: an archive that is there has one
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return StoredArchive(path, sha256, size)

    @contextmanager
    def _only_one(self, key: str) -> Iterator[None]:
        with self._lock:
            lock, n = self._waiting.get(key, (threading.Lock(), 0))
            self._waiting[key] = (lock, n + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, n = self._waiting.pop(key)
                if n > 1:
                    self._waiting[key] = (lock, n - 1)


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _find(path: Path) -> StoredArchive | None:
    """Return what is on disk if it is whole; a power cut may have left a name without its bytes."""
    try:
        sha256, size = _note(path).read_text().split()
        return StoredArchive(path, sha256, int(size)) if path.stat().st_size == int(size) else None
    except (FileNotFoundError, ValueError):
        return None


def _write(file: BinaryIO, dataset: Dataset, archive: ArchiveName, fault: str) -> None:
    member = f"{archive.stem}.csv"
    if fault == "traversal_member":
        member = f"../../{member}"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9 if fault == "zip_bomb" else _LEVEL) as zipped:
        with zipped.open(member, "w", force_zip64=_is_large(dataset, archive)) as out:
            for chunk in _bomb() if fault == "zip_bomb" else csv_chunks(dataset, archive, fault):
                out.write(chunk)
        if fault == "stray_member":
            with zipped.open(f"{archive.symbol}-stray.csv", "w") as out:
                out.write(b"1,2,3\n")
    _damage(file, fault)


def _damage(file: BinaryIO, fault: str) -> None:
    size = file.seek(0, os.SEEK_END)
    if fault == "trailing_junk":
        file.write(b"\x5a" * 64)
    elif fault == "zip_truncated":
        file.truncate(size * 3 // 5)
    elif fault == "bit_flip":
        file.seek(size // 2)
        byte = file.read(1)[0]
        file.seek(size // 2)
        file.write(bytes([byte ^ 0x10]))


def _is_large(dataset: Dataset, archive: ArchiveName) -> bool:
    days = (archive.end_day - archive.first_day).days
    rows = days * (86_400 if archive.kind == "klines" else int(dataset.trades_per_day * 1.6))
    return rows * _BYTES_PER_ROW > 2**31 - 1


def _bomb() -> Iterator[bytes]:
    zeros = bytes(2**20)
    for _ in range(_BOMB_BYTES // len(zeros)):
        yield zeros


def csv_chunks(dataset: Dataset, archive: ArchiveName, fault: str = "") -> Iterator[bytes]:
    """Yield the CSV of an archive in pieces; memory is bounded by one day's trades."""
    if fault == "empty_member":
        return
    market = MadeMarket(dataset, archive.market, archive.symbol)
    form = form_of(archive, market.rules, fault)
    if fault == "bom":
        yield b"\xef\xbb\xbf"
    end_of_line = b"\r\n" if fault == "crlf" else b"\n"
    if form.header:
        yield form.header.encode() + end_of_line
    for n, table in enumerate(_tables(market, archive, form)):
        for chunk in _table_chunks(table, dataset, archive, fault, n):
            yield chunk.replace(b"\n", end_of_line) if fault == "crlf" else chunk
    if fault == "foreign_rows" and archive.kind != "klines":
        index = market.calendar.index(archive.end_day)
        after = _table(market, archive, form, index)
        yield after.frame(np.arange(min(3, after.n_rows))).write_csv(include_header=False).encode()


def _table_chunks(table: Table, dataset: Dataset, archive: ArchiveName, fault: str, n: int) -> Iterator[bytes]:
    if table.n_rows == 0 or (fault == "day_missing" and n == 1):
        return
    rng = random_stream(dataset.seed, archive.symbol, _FAULT_STREAM, archive.first_day.toordinal() + n)
    plan = plan_rows(fault, archive.kind, table.n_rows, n == 0, rng)
    for lo in range(0, plan.rows.size, _CHUNK_ROWS):
        frame = edit_rows(table.frame(plan.rows[lo : lo + _CHUNK_ROWS]), plan, lo)
        text = frame.write_csv(include_header=False, quote_style="never").encode()
        if fault == "wrong_columns" and n == 0 and lo == 0:
            lines = text.splitlines(keepends=True)
            lines[len(lines) // 2] = lines[len(lines) // 2].rpartition(b",")[0] + b"\n"
            text = b"".join(lines)
        yield text


def _tables(market: MadeMarket, archive: ArchiveName, form: Form) -> Iterator[Table]:
    """Yield the tables of an archive: one a day, or one in all where bars are longer than days."""
    first = max(market.calendar.index(archive.first_day), 0)
    end = market.calendar.index(archive.end_day)
    if archive.interval in LONGER_THAN_A_DAY:
        grid = Grid(archive.interval)
        listed = (market.calendar.listed - EPOCH).days * DAY_US
        start = max(_midnight(archive.first_day), int(grid.open_of(np.array([listed]))[0]))
        opens = grid.between(start, _midnight(archive.end_day))
        if opens.size:
            yield KlinesTable(market.klines(grid, opens), form)
        return
    for index in range(first, end):
        yield _table(market, archive, form, index)


def _table(market: MadeMarket, archive: ArchiveName, form: Form, index: int) -> Table:
    if archive.kind == "trades":
        return TradesTable(market.day(index), form)
    if archive.kind == "aggTrades":
        return AggTradesTable(market.day(index), form)
    grid = Grid(archive.interval)
    midnight = _midnight(market.calendar.day(index))
    return KlinesTable(market.klines(grid, grid.between(midnight, midnight + DAY_US)), form)


def _midnight(day: date) -> int:
    return (day - EPOCH).days * DAY_US
