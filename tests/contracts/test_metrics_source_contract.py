"""What every `MetricsSource` promises, tried on both: the nodes read directly, and a real Prometheus that reads them."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from nodewise.core.errors import Unavailable
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Figure, Observation
from nodewise.monitor.prometheus import PrometheusSource
from nodewise.monitor.scrape import ScrapeSource
from nodewise.monitor.source import MetricsSource, Target
from nodewise.stack.ports import choose_ports
from tests.support.exporter import Exporter, Served, exporting
from tests.support.waiting import wait_until

N1, N2 = NodeName("n1"), NodeName("n2")
GHOST = Target(name=NodeName("ghost"), metrics_url="http://127.0.0.1:1/metrics")
FIGURES = ("available_memory_mib", "cpu_utilisation", "load1")


@dataclass(frozen=True)
class World:
    """Two nodes that export figures, and a source that knows where."""

    source: MetricsSource
    first: Served
    second: Served

    def target(self, name: NodeName) -> Target:
        served = self.first if name == N1 else self.second
        return Target(name=name, metrics_url=served.exporter.url)

    def observe(self, *names: NodeName) -> dict[NodeName, Observation]:
        return dict(self.source.observe([self.target(name) for name in names]))

    def values(self, name: NodeName) -> dict[str, float]:
        """The value of each known figure."""
        return {figure: known.value for figure, known in self._figures(name).items()}

    def times(self, name: NodeName) -> dict[str, datetime]:
        """When each known figure was measured."""
        return {figure: known.measured_at for figure, known in self._figures(name).items()}

    def wait_for(self, name: NodeName) -> dict[str, float]:
        """The values of all figures, as soon as all are known."""
        return wait_until(
            lambda: values if len(values := self.values(name)) == len(FIGURES) else {},
            20,
            f"figures of {name}",
        )

    def _figures(self, name: NodeName) -> dict[str, Figure]:
        observed = self.observe(N1, N2).get(name, Observation())
        found = {figure: getattr(observed, figure) for figure in FIGURES}
        return {figure: known for figure, known in found.items() if known is not None}


def utc_now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(
    params=["scrape", pytest.param("prometheus", marks=pytest.mark.prometheus)],
)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        first = stack.enter_context(exporting(Exporter(memory_mib=1000, busy=0.25, load1=0.5)))
        second = stack.enter_context(exporting(Exporter(memory_mib=64, busy=1.0, load1=0.0)))
        if request.param == "scrape":
            source: MetricsSource = ScrapeSource(utc_now)
        else:
            binary = request.getfixturevalue("prometheus_binary")
            url = stack.enter_context(Prometheus(binary, tmp_path, [first.exporter, second.exporter]))
            source = PrometheusSource(url)
        stack.callback(source.close)
        yield World(source=source, first=first, second=second)


class Prometheus:
    """A real Prometheus that reads these exporters as n1, n2 ... every 200 ms; its URL."""

    def __init__(self, binary: str, folder: Path, exporters: list[Exporter]) -> None:
        targets = [
            {"targets": [f"127.0.0.1:{exporter.port}"], "labels": {"node": f"n{number}"}}
            for number, exporter in enumerate(exporters, start=1)
        ]
        job = {
            "job_name": "nodes",
            "scrape_interval": "200ms",
            "scrape_timeout": "200ms",
            "static_configs": targets,
        }
        # Prometheus reads YAML, and JSON is YAML.
        (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [job]}), encoding="utf-8")
        port = choose_ports(["prometheus"], {})["prometheus"]
        self._url = f"http://127.0.0.1:{port}"
        self._log = folder / "prometheus.log"
        self._command = [
            binary, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip

    def __enter__(self) -> str:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        wait_until(self._ready, 20, "Prometheus to be ready")
        return self._url

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _ready(self) -> bool:
        assert self._process.poll() is None, self._log.read_text(encoding="utf-8")
        try:
            return httpx.get(f"{self._url}/-/ready").status_code == 200
        except httpx.TransportError:
            return False


def test_every_figure_becomes_known_in_its_own_unit(world: World) -> None:
    values = world.wait_for(N1)
    assert values["available_memory_mib"] == pytest.approx(1000)
    assert values["load1"] == 0.5
    assert values["cpu_utilisation"] == pytest.approx(0.25, abs=0.15)


def test_a_figure_that_is_zero_is_known_and_each_node_has_its_own(world: World) -> None:
    values = world.wait_for(N2)
    assert values["available_memory_mib"] == pytest.approx(64)
    assert values["load1"] == 0.0
    assert values["cpu_utilisation"] == pytest.approx(1.0, abs=0.15)


def test_only_the_nodes_asked_for_are_told_of(world: World) -> None:
    world.wait_for(N1)
    assert set(world.observe(N2)) == {N2}
    assert world.observe() == {}


def test_a_node_that_never_answered_is_unknown_never_zero(world: World) -> None:
    world.wait_for(N1)
    observed = world.source.observe([world.target(N1), GHOST])
    assert observed.get(GHOST.name, Observation()) == Observation()
    assert N1 in observed


def test_figures_are_as_young_as_their_samples(world: World) -> None:
    before = utc_now()
    world.wait_for(N1)
    first = world.times(N1)
    assert all(before.timestamp() - 1 <= time.timestamp() <= utc_now().timestamp() for time in first.values())
    wait_until(lambda: newer(world.times(N1), first), 10, "newer figures")


def test_figures_of_a_node_that_died_grow_old(world: World) -> None:
    """A mean over five minutes still has a value then; asked for naively, it would carry the time of the question."""
    world.wait_for(N1)
    world.wait_for(N2)
    world.first.stop()
    died = utc_now()
    wait_until(lambda: newer(world.times(N2), dict.fromkeys(FIGURES, died)), 10, "figures of the other node")
    assert all(time <= died for time in world.times(N1).values())
    memory = world.values(N1).get("available_memory_mib")
    assert memory is None or memory == pytest.approx(1000)


def newer(found: dict[str, datetime], than: dict[str, datetime]) -> bool:
    return len(found) == len(FIGURES) and all(found[figure] > than[figure] for figure in FIGURES)


makers: list[Callable[[], MetricsSource]] = [
    lambda: ScrapeSource(utc_now),
    lambda: PrometheusSource("http://127.0.0.1:1"),
]


@pytest.mark.parametrize("make", makers, ids=["scrape", "prometheus"])
def test_it_is_a_source_and_invents_nothing_when_all_is_away(make: Callable[[], MetricsSource]) -> None:
    source = make()
    assert isinstance(source, MetricsSource)
    assert source.name
    assert source.observe([]) == {}
    assert observed_or_away(source) == Observation()
    source.close()


def observed_or_away(source: MetricsSource) -> Observation:
    try:
        return source.observe([GHOST]).get(GHOST.name, Observation())
    except Unavailable:
        return Observation()
