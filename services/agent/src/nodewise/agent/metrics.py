"""The node's figures under node_exporter's own names, so that one set of queries fits both, and the agent's own."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import psutil
from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nodewise.core.messages import AttemptReport

_MIB: Final = 1 << 20

ATTEMPTS: Final = Counter("nodewise_agent_attempts", "Attempts that ended, by state.", ["state"])
TASK_SECONDS: Final = Histogram(
    "nodewise_agent_task_seconds",
    "Time from the start of a task's process to its end.",
    buckets=(0.1, 0.3, 1, 3, 10, 30, 60, 300, 900, 3600, 14400),
)


def count_end(report: AttemptReport) -> None:
    """Count an attempt that ended."""
    ATTEMPTS.labels(report.state.value).inc()
    if report.started_at is not None and report.finished_at is not None:
        TASK_SECONDS.observe((report.finished_at - report.started_at).total_seconds())


class NodeCollector(Collector):
    """Measures at every scrape. A node may be a part of its machine: some cores, some of the memory."""

    def __init__(
        self,
        *,
        cores: tuple[int, ...],
        memory_mib: int,
        used_mib: Callable[[], float],
        running: Callable[[], int],
    ) -> None:
        self._cores = cores
        self._memory_bytes = memory_mib * _MIB
        self._used_mib = used_mib
        self._running = running

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not measure."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The figures of now."""
        left = max(0.0, self._memory_bytes - self._used_mib() * _MIB)
        available = min(float(psutil.virtual_memory().available), left)
        yield _gauge("node_memory_MemTotal_bytes", "Memory of this node.", self._memory_bytes)
        yield _gauge("node_memory_MemAvailable_bytes", "Memory that tasks may still take here.", available)
        yield _gauge("node_load1", "1m load average.", psutil.getloadavg()[0])
        yield _gauge("nodewise_agent_running_tasks", "Attempts that are staged or running.", self._running())
        yield self._cpu_seconds()

    def _cpu_seconds(self) -> Metric:
        family = CounterMetricFamily(
            "node_cpu_seconds", "Seconds that the node's cores spent in each mode.", labels=["cpu", "mode"]
        )
        times = psutil.cpu_times(percpu=True)
        for core in self._cores:
            if core < len(times):
                for mode, seconds in times[core]._asdict().items():
                    # Guests' time is contained in user's; node_exporter has it elsewhere.
                    if not mode.startswith("guest"):
                        family.add_metric([str(core), mode], seconds)
        return family


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)
