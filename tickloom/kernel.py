"""The one way to compile a kernel.

No fastmath: the order of floating-point operations is part of the result. NumPy's error model, so that x / 0 is inf
or nan as in an array expression. `nogil`, so that threads may run kernels side by side. Compiled code is cached on
disk and shared by all processes.
"""

import fcntl
import hashlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

I8: TypeAlias = NDArray[np.int8]
I32: TypeAlias = NDArray[np.int32]
I64: TypeAlias = NDArray[np.int64]
U64: TypeAlias = NDArray[np.uint64]
F64: TypeAlias = NDArray[np.float64]
Bool: TypeAlias = NDArray[np.bool_]

_Function = TypeVar("_Function", bound=Callable[..., object])


def kernel(function: _Function) -> _Function:
    """Compile `function` with the house's settings. `NUMBA_DISABLE_JIT=1` runs it as plain Python."""
    return _compile(function, forceinline=False)


def inlined(function: _Function) -> _Function:
    """Compile a small function into every kernel that calls it: a call costs more than a few instructions do."""
    return _compile(function, forceinline=True)


def borrowing(function: _Function, *, cache: bool = True) -> _Function:
    """Compile a kernel that makes no array and returns none: it counts no references to those it is given.

    The counts are atomic instructions, and a tuple of ten arrays that is handed from function to function costs more of
    them than a short loop costs of anything else. Numba refuses to compile a kernel that breaks the rule.
    """
    return _compile(function, forceinline=False, _nrt=False, cache=cache)


def has_file(function: Callable[..., object]) -> bool:
    """Return whether a function comes from a file, and so can be kept on disk: not from a prompt or a notebook."""
    return Path(function.__code__.co_filename).is_file()


def inlined_borrowing(function: _Function) -> _Function:
    """Do both, for use in a `borrowing` kernel alone: what Python would call it by is left out, and half the compiling.

    From Python, call it as `plain(function)`.
    """
    return _compile(function, forceinline=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def plain(function: _Function) -> _Function:
    """Return the Python function that a kernel was compiled from: for a few numbers a call of it costs less."""
    return getattr(function, "py_func", function)


def _compile(function: _Function, **options: bool) -> _Function:
    house: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": False, "error_model": "numpy", **options}
    house["cache"] = house["cache"] and has_file(function)
    decorate: Any = numba.njit
    compiled = decorate(**house)(function)
    if cache := _cache_file(compiled):
        cache._source_stamp = (cache._source_stamp, _uses(function))
        lock = Path(f"{cache._index_path}.lock")
        cache.load = _alone(cache.load, lock, fcntl.LOCK_SH)
        cache.save = _alone(cache.save, lock, fcntl.LOCK_EX)
        cache._load_index = _or_nothing(cache._load_index)
    if hasattr(compiled, "get_call_template"):
        compiled.get_call_template = _whatever_the_number(compiled.get_call_template)
    return compiled  # type: ignore[no-any-return]


def _alone(act: Callable[..., Any], lock: Path, mode: int) -> Callable[..., Any]:
    """Return `act` made to wait for other processes that are at the same kernel's cache.

    Numba numbers the compiled forms of a kernel without asking whether another process takes the same number, and
    writes its index before the file that this names: whoever reads meanwhile would run another form, or old code.
    """

    def act_alone(*arguments: Any) -> Any:
        with ExitStack() as stack:
            with suppress(OSError):  # nobody can write there: then nobody has to be waited for
                fcntl.flock(stack.enter_context(lock.open("ab")), mode)
            return act(*arguments)

    return act_alone


def _or_nothing(load: Callable[[], Any]) -> Callable[[], Any]:
    """Return `load` made to find nothing where the index names a class that is no longer there under its name."""

    def load_or_nothing() -> Any:
        try:
            return load()
        except (AttributeError, ImportError):
            return {}

    return load_or_nothing


def _whatever_the_number(template: Callable[..., Any]) -> Callable[..., Any]:
    """Return numba's choice of the compiled form for a call made to take a written number for any of its kind.

    In `i = 0; while ...: i = f(i)` numba would compile f for the literal 0 first, and again for any integer.
    """

    unliteral: Any = numba.types.unliteral

    def template_for(arguments: Any, keywords: Any) -> Any:
        named = {name: unliteral(kind) for name, kind in dict(keywords).items()}
        return template(tuple(map(unliteral, arguments)), named)

    return template_for


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
    if compiled := getattr(used, "py_func", None):  # without a file of its own
        return repr((compiled.__code__.co_code, compiled.__code__.co_consts, _uses(compiled)))
    return repr(used) if isinstance(used, bool | int | float | str | tuple) else ""
