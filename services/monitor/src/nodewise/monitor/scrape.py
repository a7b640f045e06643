"""The source without a Prometheus: reads the agents' own /metrics, under node_exporter's names.

A node says itself where that is, so it could name any address that this process reaches. What it gains is bounded: one GET that follows no
redirect, of an answer that is small, comes in time, and is shown to nobody but as figures.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
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

_TIMEOUT_SECONDS: Final = 2.0
"""For a node's whole answer."""
_PARALLEL: Final = 16
_LARGEST_BYTES: Final = 4 * 1024 * 1024
_PLAIN: Final = {"Accept-Encoding": "identity"}
"""What is packed could be of any size."""

_log = structlog.get_logger()

_Answer = tuple[bytes, datetime] | Exception | None
"""What a node answered and when, or why it did not; None: it was not asked."""


class ScrapeSource:
    """Reads every node directly and keeps five minutes of samples of each. One `observe` at a time."""

    name = "scrape"

    def __init__(self, clock: Callable[[], datetime], *, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._tls = httpx.create_ssl_context(trust_env=False)
        self._histories: dict[NodeName, History] = {}
        self._silent: set[NodeName] = set()

    def observe(self, nodes: Sequence[Target]) -> Mapping[NodeName, Observation]:
        """What each node says of itself. One that does not answer keeps the figures of its last samples."""
        answers = asyncio.run(self._ask(nodes))
        histories = {}
        for target, answer in zip(nodes, answers, strict=True):
            known = self._histories.get(target.name, History())
            sample = self._sample(target, answer)
            histories[target.name] = known.with_sample(sample) if sample else known
        self._histories = histories
        return {name: observation(history) for name, history in histories.items() if history.samples}

    def close(self) -> None:
        """Nothing is held between two looks."""

    async def _ask(self, nodes: Sequence[Target]) -> Sequence[_Answer]:
        free = asyncio.Semaphore(_PARALLEL)
        async with httpx.AsyncClient(
            verify=self._tls,
            trust_env=False,
            follow_redirects=False,
            headers=_PLAIN,
            timeout=self._timeout_seconds,
        ) as client:
            return await asyncio.gather(*(self._answer(client, free, target.metrics_url) for target in nodes))

    async def _answer(self, client: httpx.AsyncClient, free: asyncio.Semaphore, url: str | None) -> _Answer:
        if url is None:
            return None
        try:
            async with free, asyncio.timeout(self._timeout_seconds):
                return await _read(client, url), self._clock()
        except Exception as error:
            # The address is a node's: whatever it makes the client raise, the other nodes are read.
            return error

    def _sample(self, target: Target, answer: _Answer) -> Sample | None:
        if answer is None:
            return None
        if isinstance(answer, Exception):
            self._failed(target, _why(answer))
            return None
        page, at = answer
        try:
            sample = read_sample(page.decode("utf-8"), at)
        except ValueError:
            self._failed(target, "it is no page of metrics")
            return None
        SCRAPES.labels("ok").inc()
        self._silent.discard(target.name)
        return sample

    def _failed(self, target: Target, why: str) -> None:
        SCRAPES.labels("failed").inc()
        # Once per silence, not at every look.
        if target.name not in self._silent:
            self._silent.add(target.name)
            _log.warning("a node does not answer", node=target.name, url=target.metrics_url, error=why)


async def _read(client: httpx.AsyncClient, url: str) -> bytes:
    async with client.stream("GET", url) as response:
        response.raise_for_status()
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ValueError("packed metrics")
        received = bytearray()
        async for chunk in response.aiter_raw():
            received += chunk
            if len(received) > _LARGEST_BYTES:
                raise ValueError(f"more than {_LARGEST_BYTES} bytes of metrics")
    return bytes(received)


def _why(error: Exception) -> str:
    """In words that hold nothing of the answer."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answers {error.response.status_code}"
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no whole answer in time"
    return f"{type(error).__name__}: {error}"


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
