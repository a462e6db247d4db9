"""Folders of real archives, served through the same door as made ones.

A folder is laid out as `spot/NAME.zip`, `usdm/NAME.zip` and `coinm/NAME.zip`, or as Binance's own tree with or without
its `data/`. Only names of the archive grammar are looked up, and only files that really lie in the folder are served.
"""

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from exchange_sim.archives import StoredArchive
from exchange_sim.names import FOLDERS, ArchiveName, parse_archive_name
from exchange_sim.symbols import SYMBOLS, Market, Rules

_FLAT: dict[Market, str] = {"spot": "spot", "um": "usdm", "cm": "coinm"}
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "BTC", "ETH", "BNB", "EUR", "TRY", "BRL", "JPY")


@dataclass(frozen=True)
class ListedSymbol:
    """What exchangeInfo tells about a symbol."""

    name: str
    base: str
    quote: str
    rules: Rules


def find_archive(folder: Path, archive: ArchiveName) -> StoredArchive | None:
    """Return a mounted archive with the hash of its bytes, or None."""
    root = folder.resolve()
    name = f"{archive.stem}.zip"
    for relative in (f"{_FLAT[archive.market]}/{name}", archive.path, f"data/{archive.path}"):
        path = (root / relative).resolve()
        if path.is_relative_to(root) and path.is_file():
            stat = path.stat()
            return StoredArchive(path, _sha256(path, stat.st_mtime_ns, stat.st_size), stat.st_size)
    return None


def own_checksum(stored: StoredArchive) -> str | None:
    """Return the CHECKSUM file that came with a mounted archive, if one did: the exchange's word, right or wrong."""
    path = stored.path.with_name(stored.path.name + ".CHECKSUM")
    return path.read_text(encoding="utf-8") if path.is_file() and not path.is_symlink() else None


def mounted_symbols(folder: Path) -> list[ListedSymbol]:
    """Return the symbols that have an archive in the folder, by name; spot rules where both markets have it."""
    listed: dict[str, ListedSymbol] = {}
    markets: tuple[Market, ...] = ("cm", "um", "spot")
    for market in markets:
        found: dict[str, list[tuple[ArchiveName, Path]]] = {}
        for archive, path in _archives(folder.resolve(), market):
            found.setdefault(archive.symbol, []).append((archive, path))
        listed |= {symbol: _listed(symbol, market, found[symbol]) for symbol in found}
    return [listed[symbol] for symbol in sorted(listed)]


def _archives(root: Path, market: Market) -> Iterator[tuple[ArchiveName, Path]]:
    tree = FOLDERS[market]
    for below in dict.fromkeys((_FLAT[market], tree, f"data/{tree}")):
        for path in sorted((root / below).rglob("*.zip")):
            archive = parse_archive_name(market, path.name)
            if archive is not None and path.resolve().is_relative_to(root):
                yield archive, path


def _listed(symbol: str, market: Market, archives: list[tuple[ArchiveName, Path]]) -> ListedSymbol:
    known = SYMBOLS.get(symbol)
    rules = known.rules(market) if known else None
    if known and rules:
        return ListedSymbol(symbol, known.base, known.quote, rules)
    quote = next((quote for quote in _QUOTES if symbol.endswith(quote) and symbol != quote), "")
    places = [_places(path, path.stat().st_mtime_ns, archive.kind == "klines") for archive, path in archives]
    first = min(archive.first_day for archive, _ in archives)
    return ListedSymbol(symbol, symbol.removesuffix(quote), quote, _rules(first, places))


def _rules(first_day: date, places: list[tuple[int, int]]) -> Rules:
    return Rules(first_day, max(price for price, _ in places), max(quantity for _, quantity in places))


@lru_cache(maxsize=1024)
def _sha256(path: Path, mtime_ns: int, size: int) -> str:  # noqa: ARG001 - a changed file is another key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=1024)
def _places(path: Path, mtime_ns: int, klines: bool) -> tuple[int, int]:  # noqa: ARG001
    """Return the most decimals that prices and quantities of an archive use; (8, 8) if it cannot be read."""
    price, quantity = (4, 5) if klines else (1, 2)
    most_price = most_quantity = 0
    try:
        with zipfile.ZipFile(path) as zipped, zipped.open(zipped.namelist()[0]) as raw:
            for row in csv.reader(io.TextIOWrapper(raw, "utf-8")):
                if row[0][:1].isdigit():
                    most_price = max(most_price, len(row[price].partition(".")[2].rstrip("0")))
                    most_quantity = max(most_quantity, len(row[quantity].partition(".")[2].rstrip("0")))
    except (zipfile.BadZipFile, UnicodeDecodeError, IndexError, csv.Error):
        return 8, 8
    return most_price, most_quantity
