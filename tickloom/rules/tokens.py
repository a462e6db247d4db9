"""Rules cut into words. What is not in this alphabet is not in the language."""

import re
from dataclasses import dataclass

from tickloom.rules.errors import RuleNotAllowed

_PARAMETER = r"\{[a-z][a-z0-9_]{0,31}\}"
_WORDS = re.compile(
    rf"""(?P<space>[ \t\r\n]+)
    |(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.{{]))
    |(?P<name>[A-Za-z_](?:[A-Za-z0-9_]|{_PARAMETER})*)
    |(?P<parameter>{_PARAMETER}(?![A-Za-z0-9_.{{]))
    |(?P<operator><=|>=|<>|!=|[<>=+\-*/%(),])""",
    re.VERBOSE | re.ASCII,
)

KEYWORDS = frozenset({"AND", "OR", "NOT", "BETWEEN", "IS", "NULL"})

_HINTS = {
    '"': "columns are written without quotes",
    "'": "there are no texts in rules: every column is a number",
    ";": "a rule is one expression",
    "{": "a parameter is written {name}: small letters, digits and _",
    ".": "columns have plain names, without a table in front",
    "[": "there are no arrays and no indices in rules",
}


@dataclass(frozen=True)
class Token:
    """One word: its kind (number, name, keyword, parameter, operator, end), its text, and where it stands."""

    kind: str
    text: str
    position: int


def tokenize(rule: str, text: str) -> list[Token]:
    """Return the words of `text`, the rule called `rule`, with an end token. Raises RuleNotAllowed."""
    tokens, position = [], 0
    while position < len(text):
        match = _WORDS.match(text, position)
        two = text[position : position + 2]
        if match is None or two in ("--", "/*", "=="):
            raise RuleNotAllowed(rule, position, _reason(text, position, two))
        kind, word = str(match.lastgroup), match.group()
        if kind == "name" and word.upper() in KEYWORDS:
            kind, word = "keyword", word.upper()
        if kind != "space":
            tokens.append(Token(kind, word, position))
        position = match.end()
    return [*tokens, Token("end", "", len(text))]


def _reason(text: str, position: int, two: str) -> str:
    if two == "==":
        return "equality is written ="
    if two in ("--", "/*"):
        return "there are no comments in rules; write - (-1) for two minus signs in a row"
    found = text[position]
    return f"{found!r} is not part of the language" + (f": {_HINTS[found]}" if found in _HINTS else "")
