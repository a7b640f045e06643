"""Structured logs and the Prometheus registry of a process."""

import json
import logging
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from functools import partial
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog
from prometheus_client import make_wsgi_app

from nodewise.core import liveness
from nodewise.core.settings import Settings


def configure_logging(settings: Settings, service: str) -> None:
    """Send structlog's and the standard library's records to stderr, one JSON object (or console line) each."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        # Bound to nothing: context variables do not reach the threads in which services work.
        partial(_named, service),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for chatty in ("httpx", "httpcore", "urllib3", "celery", "kombu"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # Celery warns root of pickled messages; ours are JSON only (see `create_app`).
    warnings.filterwarnings("ignore", message=r"\s*You're running the worker with superuser privileges")


def _named(service: str, _logger: object, _method: str, entry: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {"service": service, **entry}


def serve_metrics(settings: Settings) -> None:
    """Serve this process's /metrics, /healthz and /readyz, if it was given a port for them.

    Raises:
        OSError: The address cannot be used.
    """
    if settings.metrics_port:
        server = make_server(
            settings.host,
            settings.metrics_port,
            operations_app(),
            server_class=_Server6 if ":" in settings.host else _Server,
            handler_class=_QuietHandler,
        )
        threading.Thread(target=server.serve_forever, name="operations", daemon=True).start()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the library has
        """Say nothing: probes come every few seconds."""


def operations_app() -> WSGIApplication:
    """What operators and probes ask a process that has no HTTP server of its own: /metrics, /healthz and /readyz."""
    metrics: WSGIApplication = make_wsgi_app()
    probes = {"/healthz": liveness.hanging, "/readyz": liveness.unready}

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        probe = probes.get(environ.get("PATH_INFO", ""))
        if probe is None:
            return metrics(environ, start_response)
        return _answer(probe(liveness.last_looks(), now=time.time()), start_response)

    return app


def _answer(trouble: str | None, start_response: Callable[..., object]) -> Iterable[bytes]:
    body = {"status": "ok"} if trouble is None else {"status": "failing", "detail": trouble}
    status = "200 OK" if trouble is None else "503 Service Unavailable"
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]
