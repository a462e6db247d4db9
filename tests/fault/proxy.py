"""A TCP proxy before the gateway that swallows one reply, and has the gateway killed meanwhile."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


class ReplyCutter:
    """Relays connections to `port`, until it is armed: the next reply is never delivered."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._strike: Callable[[], None] | None = None
        self._armed = self._at_request = False
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def arm(self, strike: Callable[[], None], *, at_request: bool) -> None:
        """Call `strike` once: when the next request has been passed on, or when its reply arrives; then hang up."""
        self._at_request, self._strike, self._armed = at_request, strike, True

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._target, timeout=10) as server:
            server.settimeout(None)
            threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
            while data := server.recv(65536):
                if self._armed:
                    self._cut(client)
                    return
                client.sendall(data)

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
                if self._armed and self._at_request and data.endswith(b"}"):  # the whole body
                    self._cut(client)
                    return
            server.shutdown(socket.SHUT_WR)

    def _cut(self, client: socket.socket) -> None:
        """Strike, once, and hang up. The proxy stays armed meanwhile, so that no reply slips through."""
        with self._lock:
            strike, self._strike = self._strike, None
            if strike is not None:
                strike()
                self.cuts += 1
                self._armed = False
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def reply_cutter(port: int) -> Iterator[ReplyCutter]:
    """Yield a proxy to a port of this machine."""
    proxy = ReplyCutter(port)
    try:
        yield proxy
    finally:
        proxy.close()
