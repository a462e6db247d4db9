"""The checks of a certificate: what is looked for in a period, a month or a day, and what was found, in one sentence.

Each check returns its numbers, a letter by grades.py, and a verdict: `passed`, `remark` (the data are as good, a reader
may want to know), `fault`, or `not checked`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.download.domain import grades
from services.download.domain.findings import Day, Source
from services.download.domain.grades import grade_of, worst

PASSED, REMARK, FAULT, NOT_CHECKED = "passed", "remark", "fault", "not checked"


@dataclass(frozen=True)
class Check:
    """One check: what it found, as numbers and in a sentence."""

    name: str
    grade: str
    verdict: str
    text: str
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "grade": self.grade,
            "verdict": self.verdict,
            "text": self.text,
            "numbers": dict(self.numbers),
        }


@dataclass(frozen=True)
class Period:
    """What is judged: days in order, missing ones included, and the sources that their rows came from."""

    days: Sequence[Day]
    sources: Sequence[Source]
    is_klines: bool = False
    is_import: bool = False
    comparison: Mapping[str, Any] | None = None  # with the official klines, of the month

    @property
    def rows(self) -> int:
        """Return the rows that were kept."""
        return sum(day.rows for day in self.days)

    def of_day(self, day: Day) -> "Period":
        """Return one of its days as a period of its own."""
        return Period([day], [day.source] if day.source else [], self.is_klines, self.is_import, self.comparison)


def run_checks(period: Period) -> list[Check]:
    """Return the checks that fit the kind of data, in the order in which they are told."""
    return [check(period) for check in (KLINES if period.is_klines else TRADES)]


def _verdict(grade: str, is_remark: bool = False) -> str:
    return PASSED if grade == "A" and not is_remark else REMARK if grade in "AB" else FAULT


def _n(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.0f} %"


def _listed(days: Sequence[Day]) -> str:
    names = [day.day.isoformat() for day in days]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def checksums(period: Period) -> Check:
    """Say which sources were verified against a SHA-256 of the exchange's. An archive that fails is never taken.

    Of files of one's own nobody published any: their own is pinned at submission, and says that they did not change.
    """
    n, verified = len(period.sources), sum(source.is_verified for source in period.sources)
    numbers = {"sources": n, "verified": verified, "without": n - verified}
    if period.is_import:
        text = f"{_n(n, 'file')} of one's own: no SHA-256 was published, so the content alone can be judged."
        return Check("checksums", "A", NOT_CHECKED, text, numbers | {"verified": 0, "without": n})
    if verified < n:
        text = (
            f"{_n(n - verified, 'source')} of {n:,} without a SHA-256 of the exchange: the content alone can be judged."
        )
        return Check("checksums", grades.UNCHECKED, REMARK, text, numbers)
    text = f"{_n(n, 'archive')}: the SHA-256 that the exchange serves is that of the bytes."
    return Check("checksums", "A", PASSED, text, numbers)


def days(period: Period) -> Check:
    """Look for days without rows; ids that run on over such a day prove that nobody traded."""
    if not period.days:
        return Check("days", "F", FAULT, "No day is left.", {"days": 0, "missing": 0, "without_trades": 0})
    lost = [day for day in period.days if not day.rows and not day.is_idle]
    idle = [day for day in period.days if day.is_idle]
    numbers = {"days": len(period.days), "missing": len(lost), "without_trades": len(idle)}
    grade = worst(
        grade_of("days", _share(len(lost), len(period.days))), grade_of("halts", _share(len(idle), len(period.days)))
    )
    texts = []
    if lost:
        gone = sum(day.ids_missing for day in lost)
        with_them = f", and {_n(gone, 'id')} with {'it' if len(lost) == 1 else 'them'}" if gone else ""
        texts.append(f"{_n(len(lost), 'day')} of {len(period.days)} missing: {_listed(lost)}{with_them}.")
    if idle:
        texts.append(f"Nobody traded on {_listed(idle)}: the ids run on.")
    text = " ".join(texts) or f"All {_n(len(period.days), 'day')} are there."
    return Check("days", grade, _verdict(grade), text, numbers)


def ids(period: Period) -> Check:
    """Count the ids that were skipped on days that have rows; the exchange counts up one by one."""
    missing = sum(day.ids_missing for day in period.days if day.rows)
    unknown = sum(day.ids_unknown for day in period.days)
    share = _share(missing, missing + period.rows)
    grade = worst(grade_of("ids", share), grade_of("unknown_ids", _share(unknown, unknown + period.rows)))
    texts = [f"{_n(missing, 'id is', 'ids are')} missing, {_percent(share)} of all."] if missing else []
    if unknown:
        texts.append(f"{_n(unknown, 'id')} the exchange itself does not know: no trade had them.")
    text = " ".join(texts) or "The ids run on without a gap."
    return Check("ids", grade, _verdict(grade), text, {"missing": missing, "unknown": unknown, "share": share})


def bars(period: Period) -> Check:
    """Count the klines that are missing on days that have some."""
    there = [day for day in period.days if day.rows]
    expected = sum(day.bars_expected for day in there)
    missing = sum(max(0, day.bars_expected - day.rows) for day in there)
    share = _share(missing, expected)
    grade = grade_of("bars", share)
    text = "No bar is missing on the days that are there."
    if missing:
        text = f"{_n(missing, 'bar')} of {expected:,} missing, {_percent(share)}."
    return Check("bars", grade, _verdict(grade), text, {"expected": expected, "missing": missing, "share": share})


def alignment(period: Period) -> Check:
    """Count the klines that open at another time than a multiple of their interval: they are of other hours, or cut."""
    count = sum(day.misaligned for day in period.days)
    share = _share(count, period.rows)
    grade = grade_of("alignment", share)
    text = "Every bar opens at a multiple of its interval."
    if count:
        text = f"{_n(count, 'bar opens', 'bars open')} off the multiples of the interval, {_percent(share)} of all."
    return Check("alignment", grade, _verdict(grade), text, {"misaligned": count, "share": share})


def silences(period: Period) -> Check:
    """Look for silences that do not fit the symbol's rhythm (rhythm.py); ids tell halts from missing data."""
    there = [day for day in period.days if day.rows]
    n_minutes = len(there) * 1440
    silent, halted = sum(day.silent for day in there), sum(day.halted for day in there)
    longest = max((day.longest for day in there), default=0)
    numbers = {"silent_minutes": silent, "halted_minutes": halted, "longest_minutes": longest}
    grade = worst(grade_of("silences", _share(silent, n_minutes)), grade_of("halts", _share(halted, n_minutes)))
    texts = []
    if silent:
        texts.append(f"{_n(silent, 'minute')} silent against the symbol's own rhythm: data may be missing.")
    if halted:
        texts.append(f"{_n(halted, 'minute')} in which nobody traded, against the rhythm; the ids run on: a halt.")
    if texts:
        texts.append(f"The longest silence has {_n(longest, 'minute')}.")
    text = " ".join(texts) or "No silence is out of keeping with the symbol's own rhythm."
    return Check("silences", grade, _verdict(grade), text, numbers)


def row_counts(period: Period) -> Check:
    """Hold each day's rows against its neighbours': a file may be cut short and still match its checksum."""
    judged = [day for day in period.days if day.ratio is not None]
    short = [
        day for day in judged if day.ratio is not None and not day.is_whole and grades.short_grade(day.ratio) != "A"
    ]
    grade = worst(*(grades.short_grade(day.ratio or 0.0) for day in short))
    numbers = {
        "compared": len(judged),
        "short": {day.day.isoformat(): round(day.ratio or 0.0, 4) for day in short},
    }
    if not judged:
        text = "There are no neighbouring days to compare the number of rows with."
        return Check("row_counts", "A", NOT_CHECKED, text, numbers)
    text = "No day has far fewer rows than its neighbours without its ids proving that it is whole."
    if short:
        least = min(short, key=lambda day: day.ratio or 0.0)
        share = _percent(least.ratio or 0.0)
        text = f"{_listed(short)}: far fewer rows than on the days around, on {least.day} {share} of theirs."
    return Check("row_counts", grade, _verdict(grade), text, numbers)


def duplicates(period: Period) -> Check:
    """Count the rows that came twice; they are equal, and one of them is kept."""
    if period.is_klines:
        count, read = sum(s.duplicates for s in period.sources), sum(s.rows_read for s in period.sources)
    else:
        count = sum(day.duplicates for day in period.days)
        read = period.rows + count
    grade = grade_of("duplicates", _share(count, read))
    text = f"{_n(count, 'row')} came twice, and were taken once." if count else "No row came twice."
    return Check("duplicates", grade, _verdict(grade), text, {"dropped": count})


def order(period: Period) -> Check:
    """Count the rows that were not in the order of their ids; they were sorted."""
    if period.is_klines:
        count, read = sum(s.out_of_order for s in period.sources), sum(s.rows_read for s in period.sources)
    else:
        count, read = sum(day.out_of_order for day in period.days), period.rows
    grade = grade_of("order", _share(count, read))
    text = f"{_n(count, 'row')} out of order: sorted." if count else "The rows came in order."
    return Check("order", grade, _verdict(grade), text, {"out_of_order": count})


def times(period: Period) -> Check:
    """Count the times that run back against the ids; the exchange's clocks differ by a little."""
    count = sum(day.time_reversals for day in period.days)
    share = _share(count, period.rows)
    grade = grade_of("times", share)
    text = f"{_n(count, 'time is', 'times are')} earlier than the one before, of {period.rows:,}."
    text = text if count else "Times never run back."
    return Check("times", grade, _verdict(grade, bool(count)), text, {"reversals": count, "share": share})


def sentinels(period: Period) -> Check:
    """Count the void rows that the exchange puts where it took a duplicate out."""
    count, read = sum(s.sentinels for s in period.sources), sum(s.rows_read for s in period.sources)
    grade = grade_of("sentinels", _share(count, read))
    text = f"{_n(count, 'void row')} of the exchange dropped." if count else "There are no void rows."
    return Check("sentinels", grade, _verdict(grade, bool(count)), text, {"dropped": count})


def foreign_rows(period: Period) -> Check:
    """Count the rows of days that an archive is not about. In a file of one's own they are what was not asked for."""
    count, read = sum(s.foreign_rows for s in period.sources), sum(s.rows_read for s in period.sources)
    grade = "A" if period.is_import else grade_of("foreign_rows", _share(count, read))
    text = f"{_n(count, 'row')} of other days dropped." if count else "No row is of another day."
    return Check("foreign_rows", grade, _verdict(grade), text, {"dropped": count})


def corrections(period: Period) -> Check:
    """State what was taken from a second source; what is graded is what is there since."""
    found = [(day, c) for day in period.days for c in day.corrections if c.get("by") != "rest" or c.get("ids_filled")]
    filled = sum(int(c.get("ids_filled") or 0) for _, c in found)
    left = sum(day.ids_missing for day in period.days)
    differ = [day for day, c in found if c.get("differs") or c.get("only_monthly")]
    rows, kept = (sum(int(c.get(name) or 0) for _, c in found) for name in ("differs", "only_monthly"))
    numbers = {"days": len({day.day for day, _ in found}), "ids_filled": filled, "ids_left": left}
    numbers |= {"differ": len(differ), "rows_differ": rows, "ids_kept": kept}
    if not found:
        return Check("corrections", "A", PASSED, "Nothing had to be taken from a second source.", numbers)
    ways = {"daily": "daily archives", "rest": "the REST interface"}
    by = " and ".join(sorted({ways.get(str(c.get("by")), str(c.get("by"))) for _, c in found}))
    noun = "bar" if period.is_klines else "id"
    text = f"{_n(numbers['days'], 'day')} corrected from {by}: {_n(filled, noun)} filled in"
    text += f"; {left:,} are missing still." if left else "."
    if differ:
        text += f" The sources contradict each other on {_listed(differ)}:"
        text += f" {_n(rows, 'row differs', 'rows differ')}, and the daily archives' count;" if rows else ""
        text += f" {_n(kept, f'{noun} is', f'{noun}s are')} in the monthly archives alone, and kept;" if kept else ""
        text = text[:-1] + "."
    return Check("corrections", grades.DISAGREEMENT if differ else "A", REMARK, text, numbers)


def klines(period: Period) -> Check:
    """Hold 1-minute bars made of the trades against the exchange's own."""
    comparison = period.comparison or {"not_compared": "it was not asked for"}
    counts = [day.klines for day in period.days if day.klines is not None]
    if "not_compared" in comparison or not counts:
        reason = comparison.get("not_compared", "there are none of these days")
        return Check("klines", "A", NOT_CHECKED, f"Not compared with the official 1-minute bars: {reason}.")
    equal, different, not_official, not_ours, left_out = (sum(column) for column in zip(*counts, strict=True))
    compared = equal + different + not_official + not_ours + left_out
    wrong = different + not_official + not_ours
    grade = worst(grade_of("klines", _share(wrong, compared)), grade_of("left_out", _share(left_out, compared)))
    numbers = {"compared": compared, "equal": equal, "different": different, "not_in_official": not_official}
    numbers |= {"not_in_trades": not_ours, "left_out": left_out}
    text = f"{equal:,} of {_n(compared, 'minute')} with trades equal the official 1-minute bars in every field."
    if left_out:
        text += f" {left_out:,} hold trades that aggregate trades leave out (insurance fund, auto-deleveraging)."
    if wrong:
        text += f" {different:,} differ, {not_official:,} are not in the official bars, {not_ours:,} not in the trades."
    return Check("klines", grade, _verdict(grade, bool(left_out)), text, numbers)


TRADES: Final[Sequence[Callable[[Period], Check]]] = (
    *(checksums, days, ids, silences, row_counts, order, duplicates, times, sentinels, foreign_rows),
    *(corrections, klines),
)
KLINES: Final[Sequence[Callable[[Period], Check]]] = (
    checksums, days, bars, alignment, order, duplicates, foreign_rows, corrections,
)  # fmt: skip
