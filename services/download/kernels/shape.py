"""Pieces of a line that look like those of the line before: known fields at known places, compared by eight bytes.

Trades follow one another with ids and times of as many digits, and the first of these digits stay. So a line is held
against what is known of the line before: separators and first digits must be the same bytes, the rest must be digits.
Then each number is read from where it must be. What does not match is read field by field, as if nothing were known.

A piece is `number,...,number,` or `,number,...,number,`. What is known of it is kept in uint64 words at an address:

    0          its length in bytes, 0: nothing is known
    1, 7, 13   six words each: the bytes expected; which bits of them count; what to add so that a byte too large for a
               digit, or different where it must be the same, gets its high bit
    19         for each field of whole numbers: where its last eight digits begin, or all if they are fewer; the value
               of the digits before them; the bits to shift by, so that what follows fewer than eight falls out
    28         for a decimal: where it begins, the bits to shift its whole part by, where its places begin, their mask

All arithmetic is modulo 2**64, on unsigned words.
"""

from typing import Any, Final

import numpy as np

from services.download.kernels.swar import byte_at, eight_digits, put_word, word_at
from tickloom.kernel import inlined, kernel

WORDS: Final = 32
"""What one piece takes of the memory."""

_U: Any = np.uint64
_WORD, _EIGHT, _ALL = _U(8), _U(8), _U(64)
_EXPECTED, _COUNTS, _ADDED, _FIELDS, _DECIMAL = _U(8), _U(56), _U(104), _U(152), _U(224)
_HIGH: Final = _U(0x8080808080808080)
_NIBBLES: Final = _U(0x0F0F0F0F0F0F0F0F)
_UNIT: Final = _U(10**8)
_COMMA, _POINT, _ZERO = 44, 46, 48


@inlined
def _misfit(at: Any, known: Any, k: Any) -> Any:
    """Return high bits where word k of the piece at the address `at` is not what is known of it."""
    word = (word_at(at + k) ^ word_at(known + _EXPECTED + k)) & word_at(known + _COUNTS + k)
    return word | (word + word_at(known + _ADDED + k))


@inlined
def is_alike(at: Any, known: Any, words: int) -> Any:
    """Tell whether a piece of at most 8 * `words` bytes (32 or 48) at the address `at` is as it is known."""
    misfit = _misfit(at, known, _U(0)) | _misfit(at, known, _U(8)) | _misfit(at, known, _U(16))
    misfit |= _misfit(at, known, _U(24))
    if words > 4:
        misfit |= _misfit(at, known, _U(32)) | _misfit(at, known, _U(40))
    return (misfit & _HIGH) == _U(0) and word_at(known) != _U(0)


@inlined
def whole_in(at: Any, known: Any, field: int) -> Any:
    """Return the whole number of a field of a piece that is alike."""
    place = known + _FIELDS + _U(24 * field)
    digits = (word_at(at + word_at(place)) << word_at(place + _U(16))) & _NIBBLES
    return word_at(place + _U(8)) + eight_digits(digits)


@inlined
def units_in(at: Any, known: Any) -> Any:
    """Return the decimal of a piece that is alike, in units of 10**-8."""
    place = known + _DECIMAL
    whole = eight_digits((word_at(at + word_at(place)) << word_at(place + _U(8))) & _NIBBLES)
    return whole * _UNIT + eight_digits(word_at(at + word_at(place + _U(16))) & word_at(place + _U(24)))


@kernel
def learn(at: Any, known: Any, n_commas: int, words: int, is_decimal: bool) -> None:
    """Write down the piece that begins at the address `at` and ends with its n-th comma, or that nothing is known.

    Its fields are whole numbers; the last one is a decimal where the caller says so.

    Nothing is of a piece longer than 8 * `words`, with a whole number of more than 16 digits, or with a decimal
    of other than 1 to 8 before the point and after it. Bytes that are none of these are not expected here.
    """
    put_word(known, _U(0))
    for k in range(1, WORDS):
        put_word(known + _WORD * _U(k), _U(0))
    begin, point, field, j = 1 if byte_at(at) == _COMMA else 0, -1, 0, 0
    commas = begin
    if begin:
        _expect(known, 0, _COMMA, True)
    while commas < n_commas:
        j = max(j, begin)
        while byte_at(at + _U(j)) != _COMMA:
            point = j if byte_at(at + _U(j)) == _POINT else point
            j += 1
            if j >= 8 * words:
                return
        if is_decimal and commas == n_commas - 1:
            is_known = _learn_decimal(at, known, begin, point, j)
        else:
            is_known = point < 0 and _learn_whole(at, known, begin, j, field)
        if not is_known:
            return
        field += 1
        _expect(known, j, _COMMA, True)
        commas, begin, point, j = commas + 1, j + 1, -1, j + 1
    put_word(known, _U(begin))


@kernel
def _expect(known: Any, j: int, byte: int, is_same: bool) -> None:
    """Expect a byte at place j: the same, or any digit."""
    word, shift = _WORD * _U(j // 8), _EIGHT * _U(j % 8)
    put_word(known + _EXPECTED + word, word_at(known + _EXPECTED + word) | (_U(byte if is_same else _ZERO) << shift))
    put_word(known + _COUNTS + word, word_at(known + _COUNTS + word) | (_U(255) << shift))
    put_word(known + _ADDED + word, word_at(known + _ADDED + word) | (_U(127 if is_same else 118) << shift))


@kernel
def _learn_whole(at: Any, known: Any, begin: int, end: int, field: int) -> bool:
    n = end - begin
    if not 1 <= n <= 16:
        return False
    first = _U(0)
    for j in range(begin, end):
        is_first, byte = j < end - 8, byte_at(at + _U(j))
        first = first * _U(10) + (_U(byte) - _U(_ZERO)) if is_first else first
        _expect(known, j, int(byte), is_first)
    place = known + _FIELDS + _U(24 * field)
    put_word(place, _U(max(end - 8, begin)))
    put_word(place + _U(8), first * _UNIT)
    put_word(place + _U(16), _ALL - _EIGHT * _U(min(n, 8)))
    return True


@kernel
def _learn_decimal(at: Any, known: Any, begin: int, point: int, end: int) -> bool:
    n_whole, n_places = point - begin, end - point - 1  # without a point the first is negative
    if not (1 <= n_whole <= 8 and 1 <= n_places <= 8):
        return False
    for j in range(begin, end):
        _expect(known, j, int(byte_at(at + _U(j))), j == point)
    put_word(known + _DECIMAL, _U(begin))
    put_word(known + _DECIMAL + _U(8), _ALL - _EIGHT * _U(n_whole))
    put_word(known + _DECIMAL + _U(16), _U(point + 1))
    put_word(known + _DECIMAL + _U(24), _NIBBLES >> (_ALL - _EIGHT * _U(n_places)))
    return True
