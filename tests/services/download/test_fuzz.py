"""T14: texts of every sort, from what exchanges write to what nobody should: the trades, or the error, of the slow way.

The slow way is tests/naive/archives.py. `make fuzz` runs the 10,000 cases; the suite runs the first of them.
"""

import os
import random
import re
from collections import Counter
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.download.adapters import day as day_module
from services.download.adapters import days as days_module
from services.download.adapters.ingest import Source, ingest
from services.download.domain.layouts import layout_of
from services.download.domain.quality import Quality
from tests.naive import archives as naive
from tickloom.errors import TickloomError
from tickloom.lake import Lake

CASES, BLOCK = 10_000, 500
FIRST, LAST = date(2024, 1, 5), date(2024, 1, 6)
T0 = 1_704_412_800_000  # 2024-01-05T00:00:00Z in ms
DAY_MS = 86_400_000
ODD = (
    "", "NaN", "nan", "inf", "-inf", "-1", "-0.5", "0", "0.0", "1e30", "1E-30", "1.912e-05", "2.5E+3", "+7", ".5", "5.",
    "1.2.3", "1,5", " 1", "0x1F", "1_000", "999999999999999999", "1000000000000000000", "0.000000000000000001",
    "0.0000000000000000001", "12345678901.123456789", "0" * 30 + "7", "9" * 200, "\u0661", "1\u00a0", "true",
    "TRUE", "False", "yes", "x" * 70_000, "100000000000000", "99999999999999", "1704412800000", "1704412800000000",
    "1e2", "1e17",
)  # fmt: skip
HEADERS = {
    "aggTrades": "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
    "trades": "id,price,qty,quote_qty,time,is_buyer_maker",
}


def line(rng: random.Random, i: int, kind: str, best_match: bool, unit: int) -> list[str]:
    """A trade as an exchange writes it."""
    price = f"{rng.randrange(1, 10**9) / 100:.2f}" + "0" * rng.choice([0, 0, 6])
    quantity = f"{rng.randrange(1, 10**6) / 10**5:.5f}" + "0" * rng.choice([0, 3])
    ts = (T0 + i * 60_000 + rng.choice([0, 0, 0, -120_000, DAY_MS])) * unit + (unit > 1) * rng.randrange(1000)
    flag = rng.choice(["True", "False", "true", "false"])
    middle = [str(3 * i), str(3 * i + rng.randrange(3))] if kind == "aggTrades" else ["1.0"]
    return [str(i + 1), price, quantity, *middle, str(ts), flag, *(["True"] if best_match else [])]


def case(seed: int) -> tuple[bytes, str, bool, list[int], int]:
    """Return a text, the kind of its rows, whether they end with a column more, where it is cut, and rows a group."""
    rng = random.Random(seed)
    kind, best_match = rng.choice(["aggTrades", "trades"]), rng.random() < 0.5
    unit = rng.choice([1, 1000])
    rows = [
        line(rng, i, kind, best_match, rng.choice([1, 1000]) if seed % 7 == 0 else unit)
        for i in range(rng.choice([0, 1, 2, 5, 20]))
    ]
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        if rows:
            _spoil(rng, rows, kind)
    texts = [",".join(row).encode() for row in rows]
    if rng.random() < 0.3:
        texts.insert(0, _header(rng, kind, best_match))
    if texts and rng.random() < 0.05:
        texts[rng.randrange(len(texts))] += rng.choice([b"\xff", b",", b"\x00", b" ", b"\xef\xbb\xbf"])
    if rng.random() < 0.05:
        texts.insert(rng.randrange(len(texts) + 1), b"")
    end = rng.choice([b"\n", b"\n", b"\r\n"])
    text = end.join(texts) + (b"" if rng.random() < 0.2 else end) + end * rng.choice([0, 0, 0, 2])
    if rng.random() < 0.1:
        text = b"\xef\xbb\xbf" + text
    cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.choice([0, 1, 3, 10])))
    return text, kind, best_match, cuts, rng.choice([1, 3, 1 << 20])


def _header(rng: random.Random, kind: str, best_match: bool) -> bytes:
    names = HEADERS[kind].split(",") + ["is_best_match"] * best_match
    if rng.random() < 0.15:
        rng.choice([names.pop, names.reverse, lambda: names.append("more")])()
    return ",".join(names).encode()


def _spoil(rng: random.Random, rows: list[list[str]], kind: str) -> None:
    """Do to a file what is done to files."""
    at = rng.randrange(len(rows))
    match rng.randrange(8):
        case 0 | 1:
            rows[at][rng.randrange(len(rows[at]))] = rng.choice(ODD)
        case 2:
            rows.insert(rng.randrange(len(rows) + 1), list(rows[at]))
        case 3:
            rng.shuffle(rows)
        case 4 if kind == "aggTrades":
            rows[at][1:5] = ["0.00000000", "0", "-1", "-1"]
        case 5:
            rows[at][0] = rows[0][0]
        case 6:
            rows[at] = rng.choice([rows[at][:-1], [*rows[at], "1"]])
        case _:
            rows[at][1] = rng.choice(["1.912e-05", "100", "0.00000001", "7e3", "12345678901234567"])


def found(folder: Path, text: bytes, kind: str, best_match: bool, cuts: list[int]) -> naive.Found | str:
    """Ingest a text in pieces, and say what came of it as the slow way does."""
    edges = [0, *cuts, len(text)]
    chunks = [text[begin:end] for begin, end in pairwise(edges)]
    lake = Lake(str(folder))
    source = Source("t.zip", "X", layout_of("spot" if best_match else "usdm", kind), "", FIRST, LAST, "t")
    try:
        with lake.scratch() as scratch:
            part = ingest(lake, scratch, source, chunks, Quality("t.zip", "", "", len(text)))
    except TickloomError as error:
        at = re.search(r"line (\d+):", str(error))
        return type(error).__name__ + (f" {at[1]}" if at and type(error).__name__ == "BadRow" else "")
    dropped = part.facts["quality"]["dropped"]
    result = naive.Found({}, dropped["sentinel"], dropped["other_day"], dropped["duplicate"])
    for entry in part.files[:-1]:
        rows = lake.read_table(entry).to_pylist()
        result.days[entry.facts["day"]] = [_trade(row) for row in rows]
    return result


def _trade(row: dict[str, Any]) -> tuple[Any, ...]:
    names = ("trade_id", "ts", "price", "quantity")
    side = -1 if row["is_buyer_maker"] else 1
    return (*(row[name] for name in names), side, row.get("first_id"), row.get("last_id"))


def compare(seeds: range, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Hold cases against the slow way; return how many ended in which way."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # what is lost here, nobody misses
    ends: Counter[str] = Counter()
    for seed in seeds:
        text, kind, best_match, cuts, group = case(seed)
        monkeypatch.setattr(day_module, "ROW_GROUP", group)
        monkeypatch.setattr(days_module, "ROW_GROUP", group)
        expected = naive.read(text, kind, best_match, FIRST.isoformat(), LAST.isoformat())
        assert found(folder, text, kind, best_match, cuts) == expected, seed
        ends[expected.split()[0] if isinstance(expected, str) else "trades" if expected.days else "nothing"] += 1
    return ends


def test_t14_texts_of_every_sort_give_the_trades_or_the_error_of_the_slow_way(tmp_path, monkeypatch):
    ends = compare(range(500), tmp_path, monkeypatch)
    assert min(ends[name] for name in ("trades", "nothing", "BadRow", "BadHeader", "ConflictingRows")) > 10, ends


@pytest.mark.fuzz
@pytest.mark.parametrize("block", range(CASES // BLOCK))
def test_t14_ten_thousand_texts(tmp_path, monkeypatch, block):
    compare(range(block * BLOCK, (block + 1) * BLOCK), tmp_path, monkeypatch)


def test_a_day_is_named_as_the_slow_way_names_it():
    assert naive.day_of(T0 * 1000) == datetime.fromtimestamp(T0 / 1000, UTC).date().isoformat() == "2024-01-05"
