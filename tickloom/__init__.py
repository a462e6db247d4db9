"""What the gateway, the worker, the services and the command line share.

`from tickloom import Client` is the Python face of a running system.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tickloom.client import Client as Client


def __getattr__(name: str) -> Any:
    # The client pulls in pandas and httpx: services that import tickloom should not pay for it.
    if name == "Client":
        from tickloom.client import Client

        return Client
    raise AttributeError(f"module 'tickloom' has no attribute {name!r}")
