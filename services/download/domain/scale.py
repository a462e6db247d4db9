"""Decimals of one day on one scale, and sums that are exact whatever their size."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from services.download.domain.errors import DoesNotFit
from services.download.kernels.sums import dot_limbs, on_scale, sum_limbs
from tickloom.kernel import I64

_TEN: Final = np.array([10**n for n in range(19)], np.int64)


def on_one_scale(
    name: str, what: str, *columns: tuple[I64, I64], where: Callable[[int], str] = "row {}".format
) -> tuple[list[I64], int]:
    """Return columns of (digits, places) as integers of one scale, the smallest that holds every value, and the scale.

    where  what to call a row in an error

    Raises DoesNotFit when a value has more than 18 digits on that scale.
    """
    scale = max((int(places.max()) for _, places in columns if places.size), default=0)
    units = [np.empty(digits.size, np.int64) for digits, _ in columns]
    for (digits, places), column in zip(columns, units, strict=True):
        if not on_scale(digits, places, scale, column):
            raise DoesNotFit(name, what, *misfit(columns, scale, where))
    return units, scale


def misfit(columns: Sequence[tuple[I64, I64]], scale: int, where: Callable[[int], str]) -> tuple[str, str, str, str]:
    """Return the first value that has more than 18 digits on a scale, and the first that needs it: what and where."""
    found: list[str] = []
    long = [np.abs(digits) >= _TEN[18 - (scale - places)] for digits, places in columns]
    finest = [places == scale for _, places in columns]
    for wanted in (long, finest):
        column = next(k for k, rows in enumerate(wanted) if rows.any())
        at, (digits, places) = int(np.argmax(wanted[column])), columns[column]
        found += [decimal_text(int(digits[at]), int(places[at])), where(at)]
    return found[0], found[1], found[2], found[3]


def exact_sum(values: I64) -> int:
    """Return the sum of values >= 0 as a Python integer: it cannot overflow."""
    return _of_limbs(sum_limbs(values))


def exact_dot(left: I64, right: I64) -> int:
    """Return the sum of left * right, both >= 0 and < 2**60, as a Python integer: it cannot overflow."""
    return _of_limbs(dot_limbs(left, right))


def _of_limbs(limbs: tuple[int, ...]) -> int:
    return sum(limb << (32 * i) for i, limb in enumerate(limbs))


def decimal_text(units: int, scale: int) -> str:
    """Return an exact integer and its scale as plain decimal text: (12340, 3) is `12.34`."""
    sign, digits = ("-" if units < 0 else ""), str(abs(units)).rjust(scale + 1, "0")
    whole, places = (digits[:-scale], digits[-scale:].rstrip("0")) if scale else (digits, "")
    return sign + whole + (f".{places}" if places else "")
