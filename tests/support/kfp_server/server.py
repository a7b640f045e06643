"""A server that behaves like KFP's, on a free port of the loopback, in this process.

Time stands still until `turn` is called. It was written from what KFP's sources and clients say, without a live server at
hand; `tests/contracts/kfp_contract.py` holds it to KFP's own clients, and can be run against a live server.
"""

import json
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.cuttable import CuttableServer
from tests.support.kfp_server.api import Api
from tests.support.kfp_server.behaviour import Behave, Execution, Outcome, well_behaved
from tests.support.kfp_server.clock import Clock
from tests.support.kfp_server.cluster import FakeCluster, FakeNode
from tests.support.kfp_server.faults import Fault, Faults
from tests.support.kfp_server.others import Experiments, RecurringRuns
from tests.support.kfp_server.pods import PodRecord
from tests.support.kfp_server.runs import Runs
from tests.support.kfp_server.shape import ApiError
from tests.support.kfp_server.workflow import Workflow

_SLOW_SECONDS = 30.0
_TWO_NODES = (FakeNode(name="n1"), FakeNode(name="n2"))


class KfpServer:
    """Use as a context. `requests` are all that came, as (method, path); `token` or `cookie` make it ask for them."""

    def __init__(
        self,
        nodes: Sequence[FakeNode] = _TWO_NODES,
        *,
        behave: Behave = well_behaved,
        token: str | None = None,
        cookie: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.clock = Clock()
        self.cluster = FakeCluster(nodes)
        self.faults = Faults()
        self.requests: list[tuple[str, str]] = []
        self.behave, self.token, self.cookie = behave, token, cookie
        self._tls = tls
        self._names = count(1)
        self.runs = Runs(self.clock, self._start_workflow)
        self.experiments = Experiments(self.clock)
        self.api = Api(self.runs, self.experiments, RecurringRuns(self.clock), self.cluster)
        self.lock = threading.RLock()
        self._http: _Http | None = None
        self._thread: threading.Thread | None = None
        self._reserved: socket.socket | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def __enter__(self) -> "KfpServer":
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        if self._reserved is not None:
            self._reserved.close()

    def up(self) -> None:
        """Answer again, with all that was stored."""
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        self._http = _Http(("127.0.0.1", self._port), _Handler)
        self._http.owner = self
        if self._tls is not None:
            self._http.socket = self._tls.wrap_socket(self._http.socket, server_side=True)
        self._port = self._http.server_port
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def down(self) -> None:
        """Refuse connections until `up`; the workflows go on."""
        self.faults.clear()
        if self._http is None or self._thread is None:
            return
        self._http.shutdown()
        self._http.cut_all()
        self._http.server_close()
        self._thread.join()
        self._http = self._thread = None
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", self._port))

    def restart(self) -> None:
        """What a new pod of the API server is: open connections end, all rows stay."""
        self.down()
        self.up()

    def turn(self, seconds: float = 0.0) -> None:
        """Turn the clock, stopping wherever something is due, and report what happened."""
        with self.lock:
            until = self.clock.now + timedelta(seconds=seconds)
            self._advance()
            while (wake := self.clock.next_wake(until)) is not None:
                self.clock.now = wake
                self._advance()
            self.clock.now = until
            self.runs.report()

    def settle(self, seconds: float = 3600.0) -> None:
        """Turn the clock far enough for all that can end."""
        self.turn(seconds)

    def lose(self, run_id: str) -> None:
        """Forget a run, as after a restored backup; its workflow is gone as well."""
        with self.lock:
            self.runs.delete(run_id)

    def drop_manifests(self) -> None:
        """Be a server whose v1beta1 answer has no workflow."""
        with self.lock:
            for row in self.runs.rows.values():
                row.manifest = ""

    def workflows(self, run_id: str) -> list[Workflow]:
        return [workflow for workflow in self.runs.workflows if workflow.run_id == run_id]

    def pods(self, run_id: str) -> list[PodRecord]:
        return [pod for workflow in self.workflows(run_id) for pod in workflow.pods]

    def hosts(self, run_id: str) -> dict[str, str | None]:
        """The node of each executor pod, by Argo's path without the workflow's name."""
        nodes = self.workflows(run_id)[-1].tree.nodes
        return {
            name.partition(".")[2]: node.host
            for name, node in nodes.items()
            if node.template == "system-container-impl"
        }

    def _advance(self) -> None:
        """Until nothing moves: what one frees, another may take."""
        going = [workflow for workflow in self.runs.workflows if workflow.finished is None]
        while sum(workflow.advance() for workflow in going):
            going = [workflow for workflow in going if workflow.finished is None]

    def _outcome(self, execution: Execution) -> Outcome:
        return self.behave(execution)

    def _start_workflow(self, **given: Any) -> Workflow:
        return Workflow(
            name=f"wf-{next(self._names):05d}", cluster=self.cluster, clock=self.clock,
            behave=self._outcome, **given,
        )  # fmt: skip


class _Http(CuttableServer):
    owner: KfpServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _handle(self) -> None:
        owner = self.server.owner  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        struck = owner.faults.strike(self.command, path)
        fault, status = struck or (None, 200)
        owner.requests.append((self.command, path))
        if fault is Fault.CUT_BEFORE:
            self._cut()
        elif fault is Fault.ERROR_BEFORE:
            self._answer(status, {"error": "upstream is away", "code": 14, "message": "upstream is away"})
        elif fault is Fault.NO_ROUTE:
            self._send(404, b"404 page not found", "text/plain")
        elif fault is Fault.GARBAGE:
            self._send(200, b"<html>sign in</html>", "text/html")
        else:
            self._effect(fault, status, body)

    def _effect(self, fault: Fault | None, status: int, body: bytes) -> None:
        owner = self.server.owner  # type: ignore[attr-defined]
        hold = owner.faults.hold
        with owner.faults.late_effect(_SLOW_SECONDS) if fault is Fault.SLOW_BEFORE else nullcontext():
            found, answer = self._answered(body)
        if fault is Fault.SLOW_AFTER:
            hold.wait(_SLOW_SECONDS)
        if fault is Fault.CUT_AFTER:
            self._cut()
        elif fault is Fault.ERROR_AFTER:
            self._answer(status, {"error": "lost", "code": 14, "message": "lost"})
        else:
            self._answer(found, answer)

    def _answered(self, body: bytes) -> tuple[int, dict[str, Any]]:
        owner = self.server.owner  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        if not self._allowed():
            return 401, {
                "error": "unauthenticated",
                "code": 16,
                "message": "Request header error: no user identity",
            }
        try:
            with owner.lock:
                return 200, owner.api.answer(
                    self.command, parts.path, query=dict(parse_qsl(parts.query)), body=body
                )
        except ApiError as error:
            return error.status, error.body

    def _allowed(self) -> bool:
        owner = self.server.owner  # type: ignore[attr-defined]
        if owner.token is not None and self.headers.get("authorization") != f"Bearer {owner.token}":
            return False
        return owner.cookie is None or self.headers.get("Cookie") == owner.cookie

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _cut(self) -> None:
        self.close_connection = True
        with ExitStack() as quiet:
            quiet.push(lambda *_: True)
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815
