"""Text in chunks to blocks of integers: byte order mark, header, line ends, and faults with their line number."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.download.domain.errors import BadHeader, BadRow
from services.download.domain.layouts import Layout
from services.download.kernels import rows as parser
from services.download.kernels.lines import read_rows, widths_of
from services.download.kernels.rows import U8
from services.download.kernels.swar import PADDING
from services.download.kernels.trades import UNPACKED, WIDTHS, parse_trades
from tickloom.kernel import I64

BLOCK = 1 << 18
PACKED_BLOCK: Final = 1 << 12
LONGEST_LINE = 1 << 16
_BOM = b"\xef\xbb\xbf"
_PAD: Final = bytes(PADDING)
_REASONS = {
    parser.NOT_A_NUMBER: "a field is not a number",
    parser.TOO_LONG: "a number has more than 18 digits",
    parser.NOT_A_BOOLEAN: "a field is neither true nor false",
    parser.COLUMNS: "it does not have {} columns",
    parser.NOT_ASCII: "a byte is not ASCII, and so not UTF-8 text of numbers",
    parser.BLANK: "it is blank, and lines follow it",
}


@dataclass(frozen=True)
class Packed:
    """Trades as parse_trades leaves them: columns begin..end - 1 of the room that was given."""

    line: int  # the line number of the first
    group: I64
    begin: int
    end: int


@dataclass(frozen=True)
class Rows:
    """Rows as parse_rows leaves them, (n, layout.width)."""

    line: int  # the line number of the first
    rows: I64


@dataclass(frozen=True)
class _Lines:
    """Whole lines: text[at:end], with PADDING bytes or more after them."""

    text: bytes
    at: int
    end: int


class RowReader:
    """Reads one file's text. `has_header` and `n_lines` (the header included) are right when it has been read."""

    def __init__(self, name: str, layout: Layout) -> None:
        self.name, self.layout = name, layout
        self.has_header = False
        self.n_lines = 0
        self._ended = False
        self._widths = widths_of(layout.kinds)

    def read(self, chunks: Iterable[bytes]) -> Iterator[Rows]:
        """Yield rows. Raises BadRow, BadHeader."""
        for lines in self._whole_lines(chunks):
            yield from self._rows(lines)

    def read_trades(self, chunks: Iterable[bytes], room: Callable[[], tuple[I64, int]]) -> Iterator[Packed | Rows]:
        """Yield trades: packed, or as rows where one does not fit. Raises BadRow, BadHeader.

        `room` is asked before each block for where to put it: a group, (7 or 5, n), and the first column to fill, with
        PACKED_BLOCK columns or more from there on.
        """
        layout = self.layout
        row, widths = np.empty(layout.width, np.int64), np.zeros(WIDTHS, np.uint64)
        for lines in self._whole_lines(chunks):
            data, at, end = np.frombuffer(lines.text, np.uint8), lines.at, lines.end
            while at < end:
                group, begin = room()
                n, at, fault = parse_trades(
                    data,
                    at,
                    end,
                    layout.kinds,
                    layout.aggregates,
                    layout.best_match,
                    group,
                    begin,
                    begin + PACKED_BLOCK,
                    row,
                    widths,
                )
                if n:
                    yield Packed(self.n_lines + 1, group, begin, begin + n)
                    self.n_lines += n
                if fault == UNPACKED:
                    yield from self._rows(_Lines(lines.text, at, end))
                    break
                if self._stops(lines, at, fault):
                    break

    def _rows(self, lines: _Lines) -> Iterator[Rows]:
        data: U8 = np.frombuffer(lines.text, np.uint8)
        at = lines.at
        while at < lines.end:
            n = min(BLOCK, (lines.end - at) // (2 * len(self.layout.columns)) + 1)
            rows = np.empty((n, self.layout.width), np.int64)
            n_rows, at, fault = read_rows(data, at, lines.end, self.layout.kinds, rows, self._widths)
            if n_rows:
                yield Rows(self.n_lines + 1, rows[:n_rows])
                self.n_lines += n_rows
            if self._stops(lines, at, fault):
                break

    def _stops(self, lines: _Lines, at: int, fault: int) -> bool:
        """Tell whether only blank lines are left. Raises BadRow for a fault."""
        if fault == parser.OK:
            return False
        if fault == parser.BLANK and not lines.text[at : lines.end].strip(b"\r\n"):
            self._ended = True
            return True
        line = lines.text[at : lines.text.index(b"\n", at)].rstrip(b"\r")[:120].decode("ascii", "backslashreplace")
        raise self._bad_row(fault, line)

    def _bad_row(self, fault: int, line: str) -> BadRow:
        reason = _REASONS[fault].format(len(self.layout.columns))
        return BadRow(self.name, self.n_lines + 1, f"{reason}: {line!r}")

    def _whole_lines(self, chunks: Iterable[bytes]) -> Iterator[_Lines]:
        """Yield the lines after a header. A line that two chunks share is put together; the others stay in place."""
        for lines in _cut(self._after_header(chunks), self._check_length):
            if self._ended and lines.text[lines.at : lines.end].strip(b"\r\n"):
                raise self._bad_row(parser.BLANK, "")
            yield lines

    def _after_header(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        chunks, start = iter(chunks), b""
        for chunk in chunks:
            start += chunk
            if b"\n" in chunk:
                break
            self._check_length(start)
        if start:
            yield self._without_header(start if b"\n" in start else start + b"\n")
        yield from chunks

    def _check_length(self, text: bytes) -> None:
        """Raise BadRow when the last line of `text`, which may go on, is too long for one."""
        if len(text) - text.rfind(b"\n") - 1 > LONGEST_LINE:
            raise self._too_long(self.n_lines + text.count(b"\n") + 1)

    def _too_long(self, line: int) -> BadRow:
        return BadRow(self.name, line, f"it is longer than {LONGEST_LINE:,} bytes")

    def _without_header(self, text: bytes) -> bytes:
        text = text.removeprefix(_BOM)
        first = text.split(b"\n", 1)[0].rstrip(b"\r")
        if not first or first[:1].isdigit() or first[:1] in b"+-.":
            return text
        if len(first) > LONGEST_LINE:
            raise self._too_long(1)
        names = first.decode("utf-8", "replace").split(",")
        fault = self.layout.header_fault(names)
        if fault:
            raise BadHeader(self.name, fault)
        self.has_header, self.n_lines = True, 1
        return text[text.index(b"\n") + 1 :]


def _cut(chunks: Iterable[bytes], check_length: Callable[[bytes], None]) -> Iterator[_Lines]:
    """Yield whole lines of a text that comes in chunks; a last line without an end gets one."""
    rest = b""
    for chunk in chunks:
        begin = chunk.find(b"\n") + 1 if rest else 0
        if rest and not begin:
            rest += chunk
            check_length(rest)
            continue
        if rest:
            yield _Lines(rest + chunk[:begin] + _PAD, 0, len(rest) + begin)
        end = max(chunk.rfind(b"\n", begin, max(len(chunk) - PADDING, begin)) + 1, begin)
        if end > begin:
            yield _Lines(chunk, begin, end)
        rest = chunk[end:]
    if rest:
        rest += b"" if rest.endswith(b"\n") else b"\n"
        yield _Lines(rest + _PAD, 0, len(rest))
