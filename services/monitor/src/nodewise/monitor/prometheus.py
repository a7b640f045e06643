"""The source with a Prometheus: asks it what node_exporter, or our agents under the same names, told it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from nodewise.core.errors import Unavailable
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Figure, Observation
from nodewise.monitor.metrics import SCRAPES
from nodewise.monitor.source import Target

_TIMEOUT_SECONDS: Final = 2
_WINDOW: Final = "5m"
_STEP: Final = "5s"
_MIB: Final = 1024 * 1024

_MEMORY: Final = "node_memory_MemAvailable_bytes"
_CPU: Final = "node_cpu_seconds_total"
_IDLE: Final = f'{_CPU}{{mode="idle"}}'
_LOAD: Final = "node_load1"


def _last_seen(times: str) -> str:
    """When the newest sample was taken.

    A function over a range carries the time of the question, and the sample's own `timestamp` vanishes with the first
    failed scrape; so, where the node is silent, the newest time within the window is looked up.
    """
    return f"{times} or max_over_time(({times})[{_WINDOW}:{_STEP}])"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    value: str
    time: str
    convert: Callable[[float], float] = float


_QUESTIONS: Final[Mapping[str, _Question]] = {
    "available_memory_mib": _Question(
        value=f"avg_over_time({_MEMORY}[{_WINDOW}])",
        time=_last_seen(f"timestamp({_MEMORY})"),
        convert=lambda value: value / _MIB,
    ),
    "cpu_utilisation": _Question(
        # A share of all modes, not of the clock: `rate` divides by the whole window even when a node is younger than
        # that, and such a node would look busy.
        value=f"1 - sum without (cpu, mode) (rate({_IDLE}[{_WINDOW}])) / sum without (cpu, mode) (rate({_CPU}[{_WINDOW}]))",
        time=_last_seen(f"max without (cpu, mode) (timestamp({_IDLE}))"),
        convert=lambda value: min(1.0, max(0.0, value)),
    ),
    "load1": _Question(value=_LOAD, time=f"timestamp({_LOAD})"),
}


class PrometheusSource:
    """Asks a Prometheus server.

    A series belongs to the node that its `node` label names; without one, to the node whose metrics URL has the same
    host and port as its `instance` label, or whose name is the host of it.
    """

    name = "prometheus"

    def __init__(self, url: str, *, timeout_seconds: int = _TIMEOUT_SECONDS) -> None:
        self._url = url.rstrip("/")
        session = requests.Session()
        session.trust_env = False
        # No retries: the next look comes in a moment anyway.
        self._server = PrometheusConnect(
            self._url, session=session, retry=Retry(total=0), timeout=timeout_seconds
        )

    def observe(self, nodes: Sequence[Target]) -> Mapping[NodeName, Observation]:
        """What Prometheus knows of each node, with the time at which it read it there."""
        if not nodes:
            return {}
        figures: dict[NodeName, dict[str, Figure]] = {}
        for name, question in _QUESTIONS.items():
            for node, figure in self._figures(question, nodes).items():
                figures.setdefault(node, {})[name] = figure
        return {node: Observation(**known) for node, known in figures.items()}

    def close(self) -> None:
        self._server.close()

    def _figures(self, question: _Question, nodes: Sequence[Target]) -> dict[NodeName, Figure]:
        values = self._by_series(question.value)
        times = self._by_series(question.time)
        found: dict[NodeName, Figure] = {}
        for series, value in values.items():
            node = node_of(dict(series), nodes)
            if node is None or series not in times:
                continue
            measured_at = datetime.fromtimestamp(times[series], tz=UTC)
            # Two exporters may tell of one node: the newer word counts.
            if node not in found or found[node].measured_at < measured_at:
                found[node] = Figure(value=question.convert(value), measured_at=measured_at)
        return found

    def _by_series(self, query: str) -> dict[frozenset[tuple[str, str]], float]:
        return dict(_finite(self._ask(query)))

    def _ask(self, query: str) -> list[dict[str, Any]]:
        try:
            answer: list[dict[str, Any]] = self._server.custom_query(query)
        except (requests.RequestException, PrometheusApiClientException, ValueError, KeyError) as error:
            SCRAPES.labels("failed").inc()
            raise Unavailable(f"Prometheus at {self._url} does not answer: {error}") from error
        SCRAPES.labels("ok").inc()
        return answer


def _finite(answer: Sequence[Mapping[str, Any]]) -> Iterator[tuple[frozenset[tuple[str, str]], float]]:
    for item in answer:
        value = float(item["value"][1])
        if math.isfinite(value):
            labels = {key: text for key, text in item["metric"].items() if key != "__name__"}
            yield frozenset(labels.items()), value


def node_of(labels: Mapping[str, str], nodes: Sequence[Target]) -> NodeName | None:
    """The node that a series with these labels tells of; None: none of `nodes`."""
    named = labels.get("node")
    instance = labels.get("instance", "")
    for target in nodes:
        if named is not None:
            if named == target.name:
                return target.name
        elif instance and (instance == _address(target) or instance.rsplit(":", 1)[0] == target.name):
            return target.name
    return None


def _address(target: Target) -> str | None:
    return urlsplit(target.metrics_url).netloc if target.metrics_url else None
