"""The documentation as the tests read it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    page: str
    language: str
    text: str


@lru_cache
def pages() -> dict[str, str]:
    """Return the text of every page by its path."""
    found = [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "benchmarks" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
    ]
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted(found)}


def blocks() -> Iterator[Block]:
    """Yield every fenced block."""
    for page, text in pages().items():
        for language, body in _FENCE.findall(text):
            yield Block(page, language, body)


def code(page: str) -> str:
    """Return all that is marked as code on a page, fenced or in a line."""
    text = pages()[page]
    fenced = [body for _, body in _FENCE.findall(text)]
    return "\n".join([*fenced, *_INLINE.findall(_FENCE.sub("", text))])


def prose(page: str) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", pages()[page])
