"""The one way to compile a kernel.

No fastmath: the order of floating-point operations is part of the result. NumPy's error model, so that x / 0 is inf
or nan as in an array expression. `nogil`, so that threads may run kernels side by side. Compiled code is cached on
disk and shared by all processes.
"""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

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
    return numba.njit(nogil=True, cache=True, fastmath=False, error_model="numpy")(function)  # type: ignore[return-value]
