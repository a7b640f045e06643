"""The monitor's own metrics."""

from collections.abc import Mapping
from datetime import datetime

from prometheus_client import Counter, Gauge

from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Observation

SCRAPES = Counter("nodewise_monitor_scrapes_total", "Readings of a node or a query, by outcome.", ["outcome"])
_AGES = Gauge("nodewise_monitor_figure_age_seconds", "Age of each known figure.", ["node", "figure"])


def show_ages(observations: Mapping[NodeName, Observation], now: datetime) -> None:
    """Set the age of every known figure; what is unknown has no age and is not shown."""
    _AGES.clear()
    for name, observed in observations.items():
        for figure in ("available_memory_mib", "cpu_utilisation", "load1"):
            known = getattr(observed, figure)
            if known is not None:
                _AGES.labels(name, figure).set(known.age(now).total_seconds())
