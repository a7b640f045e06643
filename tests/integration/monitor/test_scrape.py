"""What a node can do to the monitor by the address that it names for its metrics."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest

from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Observation
from nodewise.monitor.scrape import ScrapeSource
from nodewise.monitor.source import Target
from tests.support.exporter import exporting

NODE = NodeName("n1")
PAGE = b"node_load1 7\n"
Handler = Callable[[socket.socket], None]


class Listener:
    """Answers every connection with what it is told to; `served` counts them."""

    def __init__(self, handle: Handler) -> None:
        self.served = 0
        self._handle = handle
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/metrics"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.served += 1
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            self._handle(connection)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)


@contextmanager
def listening(handle: Handler) -> Iterator[Listener]:
    listener = Listener(handle)
    try:
        yield listener
    finally:
        listener.close()


def answer(body: bytes, *, status: str = "200 OK", **headers: str) -> Handler:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return lambda connection: connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def observe(url: str, *, seconds: float = 5.0) -> Observation | None:
    source = ScrapeSource(lambda: datetime.now(UTC), timeout_seconds=seconds)
    return source.observe([Target(name=NODE, metrics_url=url)]).get(NODE)


def drip(first: bytes) -> Handler:
    """Never silent for long, and never done."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(b"#")
            threading.Event().wait(0.05)

    return handle


def test_a_plain_page_is_read() -> None:
    with listening(answer(PAGE)) as node:
        found = observe(node.url)
    assert found is not None
    assert found.load1 is not None
    assert found.load1.value == 7


def test_a_redirect_is_not_followed() -> None:
    with (
        listening(answer(PAGE)) as elsewhere,
        listening(answer(b"", status="302 Found", Location=elsewhere.url)) as node,
    ):
        assert observe(node.url) is None
        assert (node.served, elsewhere.served) == (1, 0)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/hostname",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1/",
        "/metrics",
        "http://",
        "http://[::1",
    ],
)
def test_nothing_but_http_is_asked(url: str) -> None:
    assert observe(url) is None


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:99999/", "http://127.0.0.1:-1/", "http://a..b/", "http://xn--/", "http://\ud800/", ""],
)
def test_an_address_that_is_none_keeps_nobody_else_from_being_read(url: str) -> None:
    with exporting() as good:
        source = ScrapeSource(lambda: datetime.now(UTC), timeout_seconds=5)
        targets = [
            Target(name=NODE, metrics_url=url),
            Target(name=NodeName("n2"), metrics_url=good.exporter.url),
        ]
        assert set(source.observe(targets)) == {"n2"}


@pytest.mark.parametrize(
    "first",
    [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200"],
    ids=["body", "headers", "status"],
)
def test_an_answer_that_never_ends_is_given_up_in_time(first: bytes) -> None:
    began = time.monotonic()
    with listening(drip(first)) as node, exporting() as good:
        source = ScrapeSource(lambda: datetime.now(UTC), timeout_seconds=0.5)
        targets = [
            Target(name=NODE, metrics_url=node.url),
            Target(name=NodeName("n2"), metrics_url=good.exporter.url),
        ]
        assert set(source.observe(targets)) == {"n2"}
    assert time.monotonic() - began < 10


def test_a_large_answer_is_not_read_to_its_end() -> None:
    sent = 0

    def handle(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while sent < 1 << 30:
            sent += connection.send(b"#" * 65536)

    with listening(handle) as node:
        assert observe(node.url, seconds=30) is None
    assert sent < 64 << 20


def test_a_packed_answer_is_not_unpacked() -> None:
    with listening(answer(gzip.compress(PAGE), Content_Encoding="gzip")) as node:
        assert observe(node.url) is None


def test_what_it_answers_is_told_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    secret = b"node_load1 s3cret\ns3cret\n"
    for handle in (
        answer(secret),
        answer(secret, status="500 s3cret"),
        answer(b"", status="302 Found", Location="http://s3cret"),
    ):
        with listening(handle) as node:
            assert observe(node.url) is None
    said = "".join(capfd.readouterr())
    assert "a node does not answer" in said
    assert "s3cret" not in said
