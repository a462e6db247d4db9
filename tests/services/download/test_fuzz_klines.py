"""T14: klines of every sort, from what exchanges write to what nobody should: the bars, or the error, of the slow way.

The slow way is tests/naive/klines.py. `make fuzz` runs the 10,000 cases; the suite runs the first of them.
"""

import os
import random
import re
from collections import Counter
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from services.download.adapters.ingest import Source, ingest
from services.download.domain.layouts import layout_of
from services.download.domain.quality import Quality
from tests.naive import klines as naive
from tests.services.download.test_fuzz import BLOCK, CASES, DAY_MS, ODD, T0
from tickloom.errors import TickloomError
from tickloom.lake import Lake

FIRST, LAST = date(2023, 12, 31), date(2024, 1, 6)
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


def line(rng: random.Random, i: int, unit: int) -> list[str]:
    """A kline as an exchange writes it."""
    low = rng.randrange(1, 10 ** rng.choice([3, 6, 9]))
    opened, closed, high = (low + rng.randrange(1, 1000) for _ in range(3))
    prices = [
        f"{price / 100:.2f}" + "0" * rng.choice([0, 6]) for price in (opened, max(opened, closed, high), low, closed)
    ]
    amounts = [
        f"{rng.randrange(10 ** rng.choice([1, 6, 12])) / 10**5:.5f}" + "0" * rng.choice([0, 3]) for _ in range(4)
    ]
    moved = rng.choice([0, 0, 0, 0, 0, 0, 60_000, DAY_MS, -6 * DAY_MS])
    ts = (T0 + i * 60_000 + moved) * unit
    return [
        str(ts),
        *prices,
        amounts[0],
        str(ts + 60_000 * unit - 1),
        amounts[1],
        str(rng.randrange(9999)),
        *amounts[2:],
        "0",
    ]


def case(seed: int) -> tuple[bytes, bool, list[int]]:
    """Return a text, whether it is of inverse futures, and where it is cut."""
    rng = random.Random(seed)
    unit = rng.choice([1, 1000])
    rows = [
        line(rng, i, rng.choice([1, 1000]) if seed % 7 == 0 else unit) for i in range(rng.choice([0, 1, 2, 5, 20, 40]))
    ]
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        if rows:
            _spoil(rng, rows)
    texts = [",".join(row).encode() for row in rows]
    if rng.random() < 0.3:
        names = HEADER.split(",")
        if rng.random() < 0.15:
            rng.choice([names.pop, names.reverse, lambda: names.append("more")])()
        texts.insert(0, ",".join(names).encode())
    if texts and rng.random() < 0.05:
        texts[rng.randrange(len(texts))] += rng.choice([b"\xff", b",", b"\x00", b" ", b"\xef\xbb\xbf"])
    if rng.random() < 0.05:
        texts.insert(rng.randrange(len(texts) + 1), b"")
    end = rng.choice([b"\n", b"\n", b"\r\n"])
    text = end.join(texts) + (b"" if rng.random() < 0.2 else end) + end * rng.choice([0, 0, 0, 2])
    if rng.random() < 0.1:
        text = b"\xef\xbb\xbf" + text
    return text, rng.random() < 0.3, sorted(rng.randrange(len(text) + 1) for _ in range(rng.choice([0, 1, 3, 10])))


def _spoil(rng: random.Random, rows: list[list[str]]) -> None:
    """Do to a file what is done to files."""
    at = rng.randrange(len(rows))
    match rng.randrange(7):
        case 0 | 1:
            rows[at][rng.randrange(len(rows[at]))] = rng.choice(ODD)
        case 2:
            rows.insert(rng.randrange(len(rows) + 1), list(rows[at]))
        case 3:
            rng.shuffle(rows)
        case 4:
            rows[at][0] = rows[0][0]
        case 5:
            rows[at] = rng.choice([rows[at][:-1], [*rows[at], "1"]])
        case _:
            rows[at][rng.choice([1, 2, 3, 4])] = rng.choice(
                ["1.912e-05", "100", "0.00000001", "7e3", "12345678901234567"]
            )


def found(folder: Path, text: bytes, inverse: bool, cuts: list[int]) -> naive.Found | str:
    """Ingest a text in pieces, and say what came of it as the slow way does."""
    chunks = [text[begin:end] for begin, end in pairwise([0, *cuts, len(text)])]
    lake, layout = Lake(str(folder)), layout_of("coinm" if inverse else "spot", "klines")
    source = Source("t.zip", "X", layout, "1m", FIRST, LAST, "t")
    try:
        with lake.scratch() as scratch:
            part = ingest(lake, scratch, source, chunks, Quality("t.zip", "", "", len(text)))
    except TickloomError as error:
        at = re.search(r"line (\d+):", str(error))
        return type(error).__name__ + (f" {at[1]}" if at and type(error).__name__ == "BadRow" else "")
    dropped = part.facts["quality"]["dropped"]
    result = naive.Found([], dropped["other_day"], dropped["duplicate"])
    for entry in part.files[:-1]:
        rows = lake.read_table(entry).to_pylist()
        assert all(row["ts_close"] == row["ts_open"] + naive.MINUTE_US for row in rows)
        result.rows += [tuple(row.get(name) for name in naive.COLUMNS) for row in rows]
    return result


def compare(seeds: range, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Hold cases against the slow way; return how many ended in which way."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # what is lost here, nobody misses
    ends: Counter[str] = Counter()
    for seed in seeds:
        text, inverse, cuts = case(seed)
        expected = naive.read(text, inverse, FIRST.isoformat(), LAST.isoformat())
        assert found(folder, text, inverse, cuts) == expected, seed
        ends[expected.split()[0] if isinstance(expected, str) else "bars" if expected.rows else "nothing"] += 1
    return ends


def test_t14_klines_of_every_sort_give_the_bars_or_the_error_of_the_slow_way(tmp_path, monkeypatch):
    ends = compare(range(500), tmp_path, monkeypatch)
    assert min(ends[name] for name in ("bars", "nothing", "BadRow", "BadHeader", "ConflictingRows")) > 5, ends


@pytest.mark.fuzz
@pytest.mark.parametrize("block", range(CASES // BLOCK))
def test_t14_ten_thousand_klines(tmp_path, monkeypatch, block):
    compare(range(block * BLOCK, (block + 1) * BLOCK), tmp_path, monkeypatch)
