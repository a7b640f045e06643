"""A tiny exporter: figures under node_exporter's names, over HTTP, that a test sets."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(eq=False)
class Exporter(Collector):
    """Two cores that are busy to `busy`, since it was made."""

    memory_mib: float = 1000.0
    busy: float = 0.25
    load1: float = 0.5
    port: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/metrics"

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "node_memory_MemAvailable_bytes", "Memory.", value=self.memory_mib * 1024 * 1024
        )
        yield GaugeMetricFamily("node_load1", "Load.", value=self.load1)
        elapsed = time.monotonic() - self.started
        cpu = CounterMetricFamily("node_cpu_seconds", "CPU.", labels=["cpu", "mode"])
        for core in ("0", "1"):
            cpu.add_metric([core, "idle"], elapsed * (1 - self.busy))
            cpu.add_metric([core, "user"], elapsed * self.busy)
        yield cpu


@dataclass
class Served:
    """An exporter that can be stopped before the test ends."""

    exporter: Exporter
    server: WSGIServer
    thread: threading.Thread
    stopped: bool = False

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.server.shutdown()
            self.server.server_close()
            self.thread.join()


@contextmanager
def exporting(exporter: Exporter | None = None) -> Iterator[Served]:
    """The exporter while it is served on a free port."""
    shown = exporter or Exporter()
    registry = CollectorRegistry()
    registry.register(shown)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    shown.port = server.server_port
    served = Served(exporter=shown, server=server, thread=thread)
    try:
        yield served
    finally:
        served.stop()
