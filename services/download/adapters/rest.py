"""Trades by id from an exchange's REST API: what it says about ids that its archives lack."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from services.download.adapters.compare import compare
from services.download.adapters.fetch import Fetcher
from services.download.adapters.ingest import Source, ingest
from services.download.domain.corrections import Span, nothing
from services.download.domain.errors import ExchangeRefused
from services.download.domain.history import MAX_ANSWER, MICROSECONDS_SINCE, Page, endpoint_of, read_page
from services.download.domain.layouts import layout_of
from services.download.domain.quality import Quality
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.lake import Lake

_A_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Question:
    """Ids that are asked for; `known` are the partitions of the days that the answer touches."""

    base_url: str
    market: str
    data_type: str
    span: Span
    known: Mapping[date, FileEntry]

    @property
    def symbol(self) -> str:
        """Return whose trades these are."""
        return self.span.gaps[0].symbol


@dataclass
class _Answer:
    """The pages of one answer, and what they told: how many ids of each gap there are, or why nothing is taken."""

    fetcher: Fetcher
    question: Question
    why: str = ""
    requests: int = 0
    filled: list[int] = field(default_factory=list)

    def lines(self) -> Iterator[bytes]:
        """Yield the answer's trades as lines of an archive, a page at a time; they count only where `why` is empty."""
        span, limit = self.question.span, endpoint_of(self.question.market, self.question.data_type).limit
        self.filled = [0] * len(span.gaps)
        at = span.after
        for self.requests in range(1, span.requests(limit) + 1):
            page = self._page(at)
            if at == span.after and page.ids[:1] != [at]:
                begins = f"begins at id {page.ids[0]}" if page.ids else "ends"
                self.why = f"the history that REST keeps {begins}, after the id {at} that the archive has"
                return
            if not page.ids:
                break
            for i, gap in enumerate(span.gaps):
                inside = zip(page.ids, page.lines, strict=True)
                self.filled[i] += sum(gap.after < trade_id < gap.before for trade_id, line in inside if line)
            yield b"".join(line for trade_id, line in zip(page.ids, page.lines, strict=True) if trade_id <= span.before)
            at = page.ids[-1] + 1
            if at > span.before:
                return
        self.why = f"the answers of REST end at id {at - 1}, before the id {span.before} that the archive has"

    def _page(self, from_id: int) -> Page:
        question = self.question
        endpoint = endpoint_of(question.market, question.data_type)
        query = urlencode({"symbol": question.symbol, "fromId": from_id, "limit": endpoint.limit})
        url = f"{question.base_url}{endpoint.path}?{query}"
        fine = question.market == "spot" and question.span.gaps[0].day >= MICROSECONDS_SINCE
        headers = {"X-MBX-TIME-UNIT": "MICROSECOND"} if fine else {}
        body = self.fetcher.read(url, at_most=MAX_ANSWER, weight=endpoint.weight, headers=headers)
        if body is None:
            raise ExchangeRefused(url, 404)
        return read_page(url, body, endpoint, from_id)


def ask(lake: Lake, scratch: Path, fetcher: Fetcher, question: Question) -> Part:
    """Ask for the ids of a span; return a partition for each day that lacks some of them, and what became of it.

    The answer begins at an id that the archive has: one that begins later comes from a history that is cut off, and
    says nothing about what the exchange ever knew. Rows that the archive has too must be equal, or nothing is taken.
    facts: `filled` (by gap), `why` nothing is taken (or empty), `requests` made.

    Raises BadAnswer, and the errors of Fetcher.read and of ingest.
    """
    answer, span = _Answer(fetcher, question), question.span
    name = f"{question.symbol} ids {span.after}-{span.before} of REST"
    first, last = span.gaps[0].first_day - _A_DAY, span.gaps[-1].last_day + _A_DAY
    layout = layout_of(question.market, question.data_type)
    source = Source(name, question.symbol, layout, "", first, last, "rest", whole=False)
    part = ingest(lake, scratch, source, answer.lines(), Quality(name, "", "", 0))
    files, different = [], 0
    for entry in part.files:
        if "day" not in entry.facts:  # the record
            continue
        known = question.known.get(date.fromisoformat(entry.facts["day"]))
        beside = compare(lake, known, entry) if known is not None else None
        different += beside.different if beside is not None else 0
        if beside is None or beside.only_daily:
            files.append(entry)
    if different and not answer.why:
        answer.why = f"REST and the archive contradict each other (ids that both have and that differ: {different:,})"
    if answer.why:
        return Part(facts=nothing(span, answer.why) | {"requests": answer.requests})
    return Part(files=tuple(files), facts={"filled": answer.filled, "why": "", "requests": answer.requests})
