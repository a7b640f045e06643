"""HTTP for the test server of Kubernetes: requests in, answers and watches out."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from tests.support.kubernetes_server.objects import ApiError


class Owner(Protocol):
    """Who answers."""

    requests: list[tuple[str, str]]

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any: ...

    def watch(self, path: str, query: dict[str, str], write: Callable[[bytes], None]) -> None: ...


class Handler(BaseHTTPRequestHandler):
    """Hands requests to the server that owns it (`Owner`)."""

    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        owner: Owner = self.server.owner  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        owner.requests.append((self.command, parts.path))
        try:
            if query.get("watch"):
                return self._watch(owner, parts.path, query)
            answer = owner.answer(self.command, parts.path, query, json.loads(raw) if raw else None)
        except ApiError as error:
            return self._send(error.code, json.dumps(error.body).encode())
        if isinstance(answer, bytes):
            return self._send(200, answer, "text/plain")
        return self._send(201 if self.command == "POST" else 200, json.dumps(answer).encode())

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _watch(self, owner: Owner, path: str, query: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def write(line: bytes) -> None:
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.flush()

        owner.watch(path, query, write)
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""
