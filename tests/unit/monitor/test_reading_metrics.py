"""Pages of metrics and series of Prometheus: what they say, and of which node."""

from datetime import UTC, datetime

import pytest

from nodewise.core.model.ids import NodeName
from nodewise.monitor.prometheus import node_of
from nodewise.monitor.scrape import read_sample
from nodewise.monitor.source import Target

NOW = datetime(2030, 1, 1, tzinfo=UTC)

PAGE = """
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 10
node_cpu_seconds_total{cpu="0",mode="user"} 5
node_cpu_seconds_total{cpu="1",mode="idle"} 20
node_cpu_seconds_total{cpu="1",mode="system"} 1
# TYPE node_memory_MemAvailable_bytes gauge
node_memory_MemAvailable_bytes 1.048576e+06
node_memory_MemFree_bytes 1
# TYPE node_load1 gauge
node_load1 0.25
"""


def test_a_page_of_node_exporter_is_one_sample() -> None:
    sample = read_sample(PAGE, NOW)
    assert (sample.cpu_idle_seconds, sample.cpu_total_seconds) == (30, 36)
    assert (sample.available_memory_bytes, sample.load1) == (1048576, 0.25)


def test_what_is_not_there_is_unknown() -> None:
    sample = read_sample("up 1\nnode_load1 NaN\n", NOW)
    assert (sample.cpu_idle_seconds, sample.cpu_total_seconds) == (None, None)
    assert (sample.available_memory_bytes, sample.load1) == (None, None)


def test_what_is_no_page_of_metrics_is_an_error() -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_sample("<html>not here</html>", NOW)


NODES = [
    Target(name=NodeName("n1"), metrics_url="http://10.0.0.1:9100/metrics"),
    Target(name=NodeName("n2"), metrics_url=None),
]


@pytest.mark.parametrize(
    ("labels", "node"),
    [
        ({"node": "n2", "instance": "10.0.0.1:9100"}, "n2"),
        ({"instance": "10.0.0.1:9100"}, "n1"),
        ({"instance": "n2:9100"}, "n2"),
        ({"instance": "n2"}, "n2"),
        ({"instance": "10.0.0.1:9999"}, None),
        ({"node": "n3", "instance": "10.0.0.1:9100"}, None),
        ({}, None),
    ],
)
def test_a_series_belongs_to_the_node_that_its_labels_name(labels: dict[str, str], node: str | None) -> None:
    assert node_of(labels, NODES) == node
