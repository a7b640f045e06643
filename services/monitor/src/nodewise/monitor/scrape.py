"""The source without a Prometheus: reads the agents' own /metrics, under node_exporter's names."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

import httpx
import structlog
from prometheus_client.parser import text_string_to_metric_families

from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Observation
from nodewise.monitor.fold import History, Sample, observation
from nodewise.monitor.metrics import SCRAPES
from nodewise.monitor.source import Target

_TIMEOUT_SECONDS: Final = 1.0
_PARALLEL: Final = 16
_LARGEST_BYTES: Final = 8 * 1024 * 1024

_log = structlog.get_logger()


class ScrapeSource:
    """Reads every node directly and keeps five minutes of samples of each. One `observe` at a time."""

    name = "scrape"

    def __init__(self, clock: Callable[[], datetime], *, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._clock = clock
        self._client = httpx.Client(timeout=timeout_seconds, trust_env=False)
        self._threads = ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="scrape")
        self._histories: dict[NodeName, History] = {}
        self._silent: set[NodeName] = set()

    def observe(self, nodes: Sequence[Target]) -> Mapping[NodeName, Observation]:
        """What each node says of itself. One that does not answer keeps the figures of its last samples."""
        samples = self._threads.map(self._sample, nodes)
        histories = {}
        for target, sample in zip(nodes, samples, strict=True):
            known = self._histories.get(target.name, History())
            histories[target.name] = known.with_sample(sample) if sample else known
        self._histories = histories
        return {name: observation(history) for name, history in histories.items() if history.samples}

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._client.close()

    def _sample(self, target: Target) -> Sample | None:
        if target.metrics_url is None:
            return None
        try:
            sample = read_sample(self._read(target.metrics_url), self._clock())
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            SCRAPES.labels("failed").inc()
            # Once per silence, not at every look: each node has one thread at a time here.
            if target.name not in self._silent:
                self._silent.add(target.name)
                _log.warning(
                    "a node does not answer", node=target.name, url=target.metrics_url, error=str(error)
                )
            return None
        SCRAPES.labels("ok").inc()
        self._silent.discard(target.name)
        return sample

    def _read(self, url: str) -> str:
        with self._client.stream("GET", url) as response:
            response.raise_for_status()
            received = bytearray()
            for chunk in response.iter_bytes():
                received += chunk
                if len(received) > _LARGEST_BYTES:
                    raise ValueError(f"more than {_LARGEST_BYTES} bytes of metrics")
        return received.decode("utf-8")


def read_sample(text: str, measured_at: datetime) -> Sample:
    """The sample in a page of metrics.

    Raises:
        ValueError: It is no text in Prometheus's exposition format.
    """
    gauges: dict[str, float] = {}
    cpu: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            if not math.isfinite(value):
                continue
            if name == "node_cpu_seconds_total":
                mode = labels.get("mode", "")
                cpu[mode] = cpu.get(mode, 0.0) + value
            elif name in {"node_memory_MemAvailable_bytes", "node_load1"}:
                gauges[name] = value
    return Sample(
        measured_at=measured_at,
        available_memory_bytes=gauges.get("node_memory_MemAvailable_bytes"),
        cpu_idle_seconds=cpu.get("idle"),
        cpu_total_seconds=sum(cpu.values()) if cpu else None,
        load1=gauges.get("node_load1"),
    )
