"""Structured logs and the Prometheus registry of a process."""

import logging
import sys
import warnings

import structlog
from prometheus_client import start_http_server

from nodewise.core.settings import Settings


def configure_logging(settings: Settings, service: str) -> None:
    """Send structlog's and the standard library's records to stderr, one JSON object (or console line) each."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
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
    for chatty in ("httpx", "httpcore", "urllib3", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # Celery warns root of pickled messages; ours are JSON only (see `create_app`).
    warnings.filterwarnings("ignore", message=r"\s*You're running the worker with superuser privileges")
    structlog.contextvars.bind_contextvars(service=service)


def serve_metrics(settings: Settings) -> None:
    """Serve this process's /metrics, if it was given a port for them."""
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr=settings.host)
