"""A network between two processes that can be cut: a TCP proxy on loopback."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

_BLOCK: Final = 64 * 1024


class TcpProxy:
    """Passes connections on to `host:port` until it is told not to. Use as a context manager; `port` is where it listens.

    `cut` is a firewall that refuses: connections break, new ones are closed at once. `silence` is one that drops:
    connections stay, new ones are taken, and nothing passes. `heal` ends either; what a silence held back is lost
    with its connection, as it would be once both ends gave up.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._refusing = False
        self._passing = threading.Event()
        self._passing.set()
        self._accepting = threading.Thread(target=self._accept, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._break_all()
        self._passing.set()

    def cut(self) -> None:
        self._refusing = True
        self._break_all()

    def silence(self) -> None:
        self._passing.clear()

    def heal(self) -> None:
        if not self._passing.is_set():
            self._break_all()
        self._refusing = False
        self._passing.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                near.close()
                continue
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self._passing.wait()
        try:
            far = socket.create_connection(self._target, timeout=5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        pair = (near, far)
        with self._lock:
            self._pairs.add(pair)
        if self._refusing:
            self._break(pair)
        for source, sink in (pair, (far, near)):
            threading.Thread(target=self._pump, args=(source, sink, pair), daemon=True).start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        with suppress(OSError):
            while block := source.recv(_BLOCK):
                self._passing.wait()
                sink.sendall(block)
        self._break(pair)

    def _break_all(self) -> None:
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._break(pair)

    def _break(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._pairs.discard(pair)
        for one in pair:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
