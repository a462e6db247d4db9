"""Text in chunks to blocks of integer rows: byte order mark, header, line ends, and faults with their line number."""

from collections.abc import Iterable, Iterator

import numpy as np

from services.download.domain.errors import BadHeader, BadRow
from services.download.domain.layouts import Layout
from services.download.kernels import rows as parser
from tickloom.kernel import I64

BLOCK = 1 << 18
LONGEST_LINE = 1 << 16
_BOM = b"\xef\xbb\xbf"
_REASONS = {
    parser.NOT_A_NUMBER: "a field is not a number",
    parser.TOO_LONG: "a number has more than 18 digits",
    parser.NOT_A_BOOLEAN: "a field is neither true nor false",
    parser.COLUMNS: "it does not have {} columns",
    parser.NOT_ASCII: "a byte is not ASCII, and so not UTF-8 text of numbers",
    parser.BLANK: "it is blank, and lines follow it",
}


class RowReader:
    """Reads one file's text. `has_header` and `n_lines` (the header included) are right when it has been read."""

    def __init__(self, name: str, layout: Layout) -> None:
        self.name, self.layout = name, layout
        self.has_header = False
        self.n_lines = 0
        self._ended = False

    def read(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, I64]]:
        """Yield (line number of the first row, rows as (n, layout.width) int64). Raises BadRow, BadHeader."""
        rest, at_start = b"", True
        for chunk in _with_last_line_end(chunks):
            rest += chunk
            cut = rest.rfind(b"\n") + 1
            if not cut:
                if len(rest) > LONGEST_LINE:
                    raise BadRow(self.name, self.n_lines + 1, f"it is longer than {LONGEST_LINE:,} bytes")
                continue
            text, rest = rest[:cut], rest[cut:]
            if at_start:
                text, at_start = self._without_header(text), False
            yield from self._parse(text)

    def _without_header(self, text: bytes) -> bytes:
        text = text.removeprefix(_BOM)
        first = text.split(b"\n", 1)[0].rstrip(b"\r")
        if not first or first[:1].isdigit() or first[:1] in b"+-.":
            return text
        names = first.decode("utf-8", "replace").split(",")
        fault = self.layout.header_fault(names)
        if fault:
            raise BadHeader(self.name, fault)
        self.has_header, self.n_lines = True, 1
        return text[text.index(b"\n") + 1 :]

    def _parse(self, text: bytes) -> Iterator[tuple[int, I64]]:
        data, at = np.frombuffer(text, np.uint8), 0
        while at < data.size:
            rows = np.empty((min(BLOCK, data.size // (2 * len(self.layout.columns)) + 1), self.layout.width), np.int64)
            n_rows, at, fault = parser.parse_rows(data, at, self.layout.kinds, rows)
            if n_rows and self._ended:
                raise BadRow(self.name, self.n_lines, _REASONS[parser.BLANK])
            if n_rows:
                yield self.n_lines + 1, rows[:n_rows]
                self.n_lines += n_rows
            if fault == parser.BLANK and not text[at:].strip(b"\r\n"):
                self._ended = True
                return
            if fault != parser.OK:
                raise self._bad_row(text, at, fault)

    def _bad_row(self, text: bytes, at: int, fault: int) -> BadRow:
        line = text[at : text.index(b"\n", at)].rstrip(b"\r")[:120].decode("ascii", "backslashreplace")
        reason = _REASONS[fault].format(len(self.layout.columns))
        return BadRow(self.name, self.n_lines + 1, f"{reason}: {line!r}")


def _with_last_line_end(chunks: Iterable[bytes]) -> Iterator[bytes]:
    last = b"\n"
    for chunk in chunks:
        if chunk:
            yield chunk
            last = chunk[-1:]
    if last != b"\n":
        yield b"\n"
