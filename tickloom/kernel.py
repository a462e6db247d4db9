"""The one way to compile a kernel.

No fastmath: the order of floating-point operations is part of the result. NumPy's error model, so that x / 0 is inf
or nan as in an array expression. `nogil`, so that threads may run kernels side by side. Compiled code is cached on
disk and shared by all processes.
"""

import hashlib
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

I8: TypeAlias = NDArray[np.int8]
I32: TypeAlias = NDArray[np.int32]
I64: TypeAlias = NDArray[np.int64]
F64: TypeAlias = NDArray[np.float64]
Bool: TypeAlias = NDArray[np.bool_]

_Function = TypeVar("_Function", bound=Callable[..., object])


def kernel(function: _Function) -> _Function:
    """Compile `function` with the house's settings. `NUMBA_DISABLE_JIT=1` runs it as plain Python."""
    return _compile(function, forceinline=False)


def inlined(function: _Function) -> _Function:
    """Compile a small function into every kernel that calls it: a call costs more than a few instructions do."""
    return _compile(function, forceinline=True)


def _compile(function: _Function, *, forceinline: bool) -> _Function:
    compiled: Any = numba.njit(nogil=True, cache=True, fastmath=False, error_model="numpy", forceinline=forceinline)(
        function
    )
    if cache := _cache_file(compiled):
        cache._source_stamp = (cache._source_stamp, _uses(function))
    return compiled  # type: ignore[no-any-return]


def _cache_file(compiled: Any) -> Any:
    """Return numba's index of the compiled forms of a kernel on disk, or None where there is none."""
    return getattr(getattr(compiled, "_cache", None), "_cache_file", None)


def _uses(function: Callable[..., object]) -> str:
    """Return a digest of what a kernel is compiled with: other kernels by their own stamps, constants by value.

    Numba throws a cached kernel away when the file of that kernel changes. It does not when a kernel or a constant
    changes that was imported from another file, and would go on running the old code.
    """
    found = {name: function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__}
    return hashlib.sha256(repr([(name, _stamp(found[name])) for name in sorted(found)]).encode()).hexdigest()


def _stamp(used: Any) -> str:
    if cache := _cache_file(used):
        return repr(cache._source_stamp)
    if isinstance(used, type):
        return repr(getattr(used, "_fields", used.__qualname__))
    return repr(used) if isinstance(used, bool | int | float | str | tuple) else ""
