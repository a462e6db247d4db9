"""What is asked of the columns of a day: sums that cannot overflow, the scale that holds all, the order of times."""

from typing import Any, Final

import numpy as np

from tickloom.kernel import I64, inlined, kernel

_U: Any = np.uint64
_HALF: Final = _U(32)
_LOW: Final = _U(0xFFFFFFFF)
_TEN: Final = np.array([10**n for n in range(19)], np.uint64)
_MOST: Final = np.array([(2**64 - 1) // 10**n for n in range(19)], np.uint64)
_FITS: Final = np.array([(10**18 - 1) // 10**n for n in range(19)], np.int64)
_INVERSE: Final = np.array([pow(5**n, -1, 2**64) for n in range(19)], np.uint64)
"""Of 5**n modulo 2**64: a multiple of 5**n times this is the quotient, and nothing else lands as low."""


@kernel
def sum_limbs(values: I64) -> tuple[int, int]:
    """Return (low, high): the sum of values >= 0 is low + high * 2**32. values (n,), n < 2**31."""
    low, high = _U(0), _U(0)
    for i in range(values.size):
        value = _U(values[i])
        low += value & _LOW
        high += value >> _HALF
    return int(low), int(high)


@kernel
def dot_limbs(left: I64, right: I64) -> tuple[int, int, int, int]:
    """Return the sum of left * right as four limbs: limb i counts 2**(32 i). All >= 0 and < 2**60, n < 2**30."""
    s0, s1, s2, s3 = _U(0), _U(0), _U(0), _U(0)
    for i in range(left.size):
        a, b = _U(left[i]), _U(right[i])
        a0, a1, b0, b1 = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
        low, middle, high = a0 * b0, a0 * b1 + a1 * b0, a1 * b1
        s0 += low & _LOW
        s1 += (low >> _HALF) + (middle & _LOW)
        s2 += (middle >> _HALF) + (high & _LOW)
        s3 += high >> _HALF
    return int(s0), int(s1), int(s2), int(s3)


@inlined
def _quotient(value: Any, n: int) -> Any:
    """Return value / 10**n modulo 2**64, above _MOST[n] where there is a rest. Source: Warren (2013), section 10-17."""
    value *= _INVERSE[n]
    return (value >> _U(n)) | (value << ((_U(64) - _U(n)) & _U(63)))


@kernel
def zeros_in_common(values: I64, most: int) -> int:
    """Return the largest n <= most, <= 18, so that 10**n divides all values >= 0. values (n,)."""
    n = most
    for i in range(values.size):
        while n > 0 and _quotient(_U(values[i]), n) > _MOST[n]:
            n -= 1
        if n == 0:
            break
    return n


@kernel
def divide_exactly(values: I64, n: int, quotients: I64) -> None:
    """Write values / 10**n, which must be whole and >= 0, into `quotients` (n,): they may be the values themselves."""
    for i in range(values.size):
        quotients[i] = np.int64(_quotient(_U(values[i]), n))


@kernel
def on_scale(digits: I64, places: I64, scale: int, units: I64) -> bool:
    """Write digits * 10**(scale - places) into `units`; return whether all have 18 digits at most. All (n,).

    0 <= places <= scale <= 18, |digits| < 10**18. Where one does not fit, what is written means nothing.
    """
    fits = True
    for i in range(digits.size):
        more = scale - places[i]
        fits &= abs(digits[i]) <= _FITS[more]
        units[i] = digits[i] * np.int64(_TEN[more])
    return fits


@kernel
def time_steps(ts: I64, before: int, long: int) -> tuple[int, int, int, int]:
    """Return (least, greatest, steps back, steps longer than `long`) of times; `before` is the time before ts[0].

    ts (n,), n > 0, microseconds
    """
    least, greatest, n_back, n_long = ts[0], ts[0], 0, 0
    for i in range(ts.size):
        step = ts[i] - before
        n_back += step < 0
        n_long += step > long
        least, greatest, before = min(least, ts[i]), max(greatest, ts[i]), ts[i]
    return least, greatest, n_back, n_long
