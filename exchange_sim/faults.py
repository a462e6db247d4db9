"""What can go wrong, by name. A dataset has at most one fault, on all archives or on those that `fault_on` names.

Faults of content change the archive's bytes, and its CHECKSUM is right for the changed bytes (but for the faults of the
checksum itself), so that nothing but reading the data can find them.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from exchange_sim.calendar import I64

Layer: TypeAlias = Literal["rows", "text", "file", "checksum", "answer", "body"]
FAULTS: dict[str, tuple[Layer, str]] = {
    "rows_duplicated": ("rows", "one row in fifty of each day comes twice, in a block right after the first"),
    "rows_shuffled": ("rows", "the rows of each day come in a random order"),
    "id_gap": ("rows", "one row in fifty of each day is missing, in a block"),
    "id_hole": ("rows", "as id_gap, and REST does not know these rows either"),
    "rows_changed": ("rows", "one row in fifty of each day, in a block, has another quantity (of a bar, volume)"),
    "day_missing": ("rows", "a month's second day has no rows"),
    "day_cut_short": ("rows", "the last fifth of each day is missing"),
    "sentinel_rows": ("rows", "aggTrades: three rows of each day repeat an id, price and quantity 0, ids -1"),
    "voided_rows": ("rows", "aggTrades: three rows of each day are void where they stand, with their own id"),
    "bad_row": ("rows", "the price (of a bar, the open) in the middle of the first day is NaN"),
    "foreign_rows": ("rows", "trades, aggTrades: the first three rows of the day after come at the end"),
    "republished": (
        "rows",
        "another amount in the middle of the first day; replaced by the right archive after a while",
    ),
    "microseconds": ("text", "times are in microseconds, whatever the market and the year"),
    "milliseconds": ("text", "times are in milliseconds, whatever the market and the year"),
    "header_present": ("text", "a header line, even on spot and in old files"),
    "header_absent": ("text", "no header line, even in new USD-M files"),
    "wrong_columns": ("text", "a line in the middle of the first day lacks its last column"),
    "crlf": ("text", "lines end in CR LF"),
    "bom": ("text", "the file begins with a UTF-8 byte order mark"),
    "empty_member": ("text", "the CSV has no bytes"),
    "zip_truncated": ("file", "the last two fifths of the zip are missing"),
    "bit_flip": ("file", "one bit in the middle of the zip is flipped"),
    "trailing_junk": ("file", "64 bytes follow the end of the zip"),
    "stray_member": ("file", "the zip has a second member"),
    "traversal_member": ("file", "the member's name leads out of the folder"),
    "zip_bomb": ("file", "the member is 256 MiB of zeros in 256 KiB"),
    "checksum_wrong": ("checksum", "the hash is that of other bytes"),
    "checksum_other": ("checksum", "the hash is right and stands beside another file's name"),
    "checksum_missing": ("checksum", "404 for the CHECKSUM"),
    "not_found": ("answer", "404 for the archive and its CHECKSUM"),
    "rate_limited": ("answer", "429 with Retry-After (1 s) to the first two requests of a URL, then right"),
    "banned": ("answer", "418 with Retry-After (120 s), always"),
    "server_error": ("answer", "503 to the first two requests of a URL, then right"),
    "always_down": ("answer", "503, always"),
    "redirect": ("answer", "302 to the same path on 127.0.0.2"),
    "stall": ("body", "half of the body, then an hour of silence; a Range that starts later is served"),
    "slow": ("body", "one byte a second; a Range that starts later is served"),
    "cut_off": ("body", "half of the body, then the connection closes; a Range that starts later is served"),
}
_NONE = np.empty(0, np.int64)
_CHANGES_BYTES: frozenset[Layer] = frozenset({"rows", "text", "file"})


def changes_bytes(fault: str) -> bool:
    """Tell whether an archive with this fault has other bytes than one without."""
    return bool(fault) and FAULTS[fault][0] in _CHANGES_BYTES


@dataclass(frozen=True)
class RowPlan:
    """Which rows of a day's table are written, in which order, and which of them are edited.

    rows       (n_written,)  indices into the table
    sentinels  positions among the written rows that become sentinel rows
    bad        positions among the written rows that lose their price
    altered    positions among the written rows that have another amount
    """

    rows: I64
    sentinels: I64
    bad: I64
    altered: I64


def block_of(n_rows: int) -> tuple[int, int]:
    """Return the rows `[begin, end)` of a day that the faults with a block are about: one in fifty. n_rows > 0."""
    begin = n_rows // 3
    return begin, min(begin + max(1, n_rows // 50), n_rows)


def plan_rows(fault: str, kind: str, n_rows: int, first_day: bool, rng: np.random.Generator) -> RowPlan:
    """Return what a fault does to the rows of one day. n_rows > 0."""
    rows, (begin, end) = np.arange(n_rows, dtype=np.int64), block_of(n_rows)
    sentinels, bad, altered = _NONE, _NONE, _NONE
    if fault == "rows_duplicated":
        rows = np.concatenate([rows[:end], rows[begin:end], rows[end:]])
    elif fault == "rows_shuffled":
        rows = rng.permutation(rows)
    elif fault in ("id_gap", "id_hole") and n_rows > 1:
        rows = np.concatenate([rows[:begin], rows[end:]])
    elif fault == "rows_changed":
        altered = rows[begin:end]
    elif fault == "day_cut_short":
        rows = rows[: n_rows - n_rows // 5]
    elif fault == "sentinel_rows" and kind == "aggTrades":
        repeated = np.unique(rows[[0, n_rows // 2, n_rows - 1]])
        rows = np.sort(np.concatenate([rows, repeated]))
        sentinels = np.searchsorted(rows, repeated, side="right") - 1
    elif fault == "voided_rows" and kind == "aggTrades":
        sentinels = np.unique(rows[[0, n_rows // 2, n_rows - 1]])
    elif fault == "republished" and first_day:
        altered = rows[n_rows // 2 : n_rows // 2 + 1]
    elif fault == "bad_row" and first_day:
        bad = rows[n_rows // 2 : n_rows // 2 + 1]
    return RowPlan(rows, sentinels, bad, altered)


def edit_rows(frame: pl.DataFrame, plan: RowPlan, lo: int) -> pl.DataFrame:
    """Return the frame of the written rows `[lo, lo + frame.height)` with the plan's edits."""
    for positions, values in (
        (plan.sentinels, {"price": "0.00000000", "quantity": "0.00000000", "first_id": "-1", "last_id": "-1"}),
        (plan.bad, {"price": "NaN", "open": "NaN"}),
        (plan.altered, {"quantity": "777.00000000", "volume": "777777777.00000000"}),
    ):
        here = positions[(positions >= lo) & (positions < lo + frame.height)] - lo
        if here.size:
            hit = pl.Series(np.isin(np.arange(frame.height), here))
            frame = frame.with_columns(
                pl.when(hit).then(pl.lit(value)).otherwise(pl.col(name).cast(pl.String)).alias(name)
                for name, value in values.items()
                if name in frame.columns
            )
    return frame
