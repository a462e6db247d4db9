"""The connection that tells when a head died: held for as long as it lives, however often it is renewed."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tickloom.errors import TickloomError
from tickloom.fanout import cluster
from tickloom.fanout.cluster import Head, dial
from tickloom.fanout.task import Lost
from tickloom.settings import settings


class Port:
    """Something that listens where a head would, and can die as one does."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.number = self._listener.getsockname()[1]
        self.taken: list[socket.socket] = []
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                self.taken.append(listener.accept()[0])
            except OSError:
                return

    def die(self) -> None:
        with suppress(OSError):  # dead already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.taken:
            connection.close()

    def rise(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.number))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()


@pytest.fixture
def port(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Port]:
    port = Port()
    monkeypatch.setenv("TICKLOOM_RAY_ADDRESS", f"127.0.0.1:{port.number}")
    monkeypatch.setattr(cluster, "RENEW_S", 0.05)
    settings.cache_clear()
    yield port
    port.die()


def held() -> tuple[Head, threading.Thread]:
    leash = dial()
    assert leash is not None
    head = Head("somewhere", leash, 2)
    thread = threading.Thread(target=head.hold, daemon=True)
    thread.start()
    return head, thread


def test_a_head_that_lives_is_held_while_its_leash_is_renewed(port: Port) -> None:
    head, _ = held()
    assert not head.gone.wait(1)
    assert len(port.taken) > 5


def test_bytes_from_the_head_are_not_its_death(port: Port) -> None:
    head, _ = held()
    time.sleep(0.1)
    port.taken[-1].sendall(b"x" * 10_000)
    assert not head.gone.wait(0.3)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_death_is_noticed_at_once_also_when_a_new_head_takes_the_port(port: Port, replaced: bool) -> None:
    head, _ = held()
    time.sleep(0.2)
    port.die()
    if replaced:
        port.rise()
    assert head.gone.wait(0.5)


def test_a_death_between_two_looks_is_noticed_though_the_new_head_answers(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies_just_now() -> socket.socket | None:
        port.die()
        port.rise()
        return dial()

    monkeypatch.setattr(cluster, "dial", dies_just_now)
    head, _ = held()
    assert head.gone.wait(0.5)


def test_a_head_that_is_given_up_is_gone(port: Port) -> None:
    head, _ = held()
    head.drop()
    assert head.gone.wait(0.5)


def test_the_driver_stays_connected_while_a_call_is_under_way_and_no_new_one_begins(port: Port) -> None:
    head, thread = held()
    with head.call():
        port.die()
        assert head.gone.wait(1)
        thread.join(0.3)
        assert thread.is_alive()
        with pytest.raises(Lost) as caught, head.call():
            pass
        assert caught.value.blameless
    thread.join(1)
    assert not thread.is_alive()


def test_nobody_there_is_no_leash(port: Port) -> None:
    port.die()
    assert dial() is None
    assert not issubclass(Lost, TickloomError)  # it never leaves the fan-out
