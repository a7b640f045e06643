"""The monitor's loop on real servers: what it publishes, and what it survives."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import redis
from sqlalchemy import Engine, update

from nodewise.core.cluster import load_cluster, load_observations, save_observations
from nodewise.core.cluster.observations import KEY
from nodewise.core.db import schema
from nodewise.core.errors import Unavailable
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Figure, Observation
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings
from nodewise.monitor.app import create_monitor
from nodewise.monitor.prometheus import PrometheusSource
from nodewise.monitor.scrape import ScrapeSource
from nodewise.monitor.source import Target
from nodewise.monitor.watch import Surroundings, Watch
from nodewise.monitor.wiring import Monitor, source_for
from tests.support.exporter import Served, exporting
from tests.support.http import serving
from tests.support.rows import insert_node
from tests.support.waiting import wait_until

SIZE = Resources(millicores=1000, memory_mib=1000)
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
N1 = NodeName("n1")


def load(value: float, at: datetime = NOW) -> Observation:
    return Observation(load1=Figure(value=value, measured_at=at))


@dataclass
class FakeSource:
    """Says what it is told to say; None: it does not answer."""

    name: str = "fake"
    answer: Mapping[NodeName, Observation] | None = field(default_factory=dict)
    asked: list[Sequence[Target]] = field(default_factory=list)

    def observe(self, nodes: Sequence[Target]) -> Mapping[NodeName, Observation]:
        self.asked.append(nodes)
        if self.answer is None:
            raise Unavailable("the fake is away")
        return self.answer

    def close(self) -> None:
        pass


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as connected:
        yield connected


@pytest.fixture
def dead_redis() -> Iterator["redis.Redis"]:
    with redis.Redis.from_url("redis://127.0.0.1:1/0") as connected:
        yield connected


def watch_of(source: FakeSource, client: "redis.Redis", names: Sequence[str] = ("n1",)) -> Watch:
    targets = [Target(name=NodeName(name)) for name in names]
    around = Surroundings(
        source=source,
        targets=lambda: targets,
        publish=lambda nodes, now: save_observations(client, nodes, now=now),
        clock=lambda: NOW,
    )
    return Watch(around)


def test_what_is_saved_is_loaded(client: "redis.Redis") -> None:
    whole = Observation(
        available_memory_mib=Figure(value=812.5, measured_at=NOW),
        cpu_utilisation=Figure(value=0.0, measured_at=NOW - timedelta(seconds=3)),
    )
    save_observations(client, {N1: whole, NodeName("n2"): Observation()}, now=NOW)
    assert load_observations(client) == {N1: whole, NodeName("n2"): Observation()}


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"{}", b'{"saved_at": 1, "nodes": {"n1": 5}}', b"\xff"]
)
def test_what_does_not_parse_is_unknown(client: "redis.Redis", content: bytes) -> None:
    client.set(KEY, content)
    assert load_observations(client) == {}


def test_a_dead_redis_means_that_nothing_is_known(dead_redis: "redis.Redis") -> None:
    assert load_observations(dead_redis) == {}


def test_the_snapshot_joins_facts_bookings_and_figures(client: "redis.Redis", engine: Engine) -> None:
    with engine.begin() as connection:
        for name in ("n2", "N3", "n1"):
            insert_node(connection, name, SIZE)
        insert_node(connection, "gone", SIZE, state="GONE")
        loads = schema.node_loads
        connection.execute(
            update(loads).where(loads.c.node == "n1").values(booked_millicores=400, running_tasks=2)
        )
    save_observations(client, {N1: load(2.0), NodeName("gone"): load(1.0)}, now=NOW)
    with engine.begin() as connection:
        cluster = load_cluster(
            connection, client, now=NOW + timedelta(seconds=30), staleness=timedelta(seconds=20)
        )
    assert [view.name for view in cluster.nodes] == ["N3", "n1", "n2"]
    n1 = cluster.nodes[1]
    assert (n1.free.millicores, n1.running_tasks, n1.observation) == (600, 2, load(2.0))
    assert cluster.fresh(n1.observation.load1) is None
    assert cluster.nodes[2].observation == Observation()


def test_a_look_publishes_what_it_saw(client: "redis.Redis") -> None:
    source = FakeSource(answer={N1: load(1.0), NodeName("stranger"): load(9.0)})
    watch = watch_of(source, client)
    assert watch.look() is False
    assert load_observations(client) == {N1: load(1.0)}
    assert watch.seen.looked_at == NOW


def test_looking_twice_at_the_same_changes_nothing(client: "redis.Redis") -> None:
    watch = watch_of(FakeSource(answer={N1: load(1.0)}), client)
    watch.look()
    first = (watch.seen, client.get(KEY))
    watch.look()
    assert (watch.seen, client.get(KEY)) == first


def test_a_silent_node_and_a_silent_source_keep_the_last_figures(client: "redis.Redis") -> None:
    source = FakeSource(answer={N1: load(1.0)})
    watch = watch_of(source, client)
    watch.look()
    source.answer = {}
    watch.look()
    assert load_observations(client) == {N1: load(1.0)}
    source.answer = None
    watch.look()
    assert load_observations(client) == {N1: load(1.0)}


def test_a_dead_redis_does_not_stop_the_watch(dead_redis: "redis.Redis") -> None:
    watch = watch_of(FakeSource(answer={N1: load(1.0)}), dead_redis)
    watch.look()
    assert watch.seen.nodes == {N1: load(1.0)}


def test_the_source_follows_the_settings(settings: Settings) -> None:
    for url, kind in ((None, ScrapeSource), ("http://127.0.0.1:1", PrometheusSource)):
        source = source_for(settings.model_copy(update={"prometheus_url": url}), lambda: NOW)
        assert isinstance(source, kind)
        source.close()


@pytest.fixture
def exporter() -> Iterator[Served]:
    with exporting() as served:
        yield served


def test_the_monitor_serves_figures_with_their_age(
    settings: Settings, engine: Engine, client: "redis.Redis", exporter: Served
) -> None:
    with engine.begin() as connection:
        insert_node(connection, "n1", SIZE, metrics_url=exporter.exporter.url)
        insert_node(connection, "n2", SIZE, metrics_url="http://127.0.0.1:1/metrics")
    fast = settings.model_copy(update={"monitor_seconds": 0.05})
    with serving(create_monitor(Monitor.connect(fast))) as url:

        def n1() -> dict[str, object]:
            cluster = httpx.get(f"{url}/v1/cluster").json()
            assert cluster["source"] == "scrape"
            return next((node for node in cluster["nodes"] if node["name"] == "n1"), {})

        node = wait_until(lambda: n1() if n1().get("cpu_utilisation") else None, 10, "the utilisation of n1")
        assert node is not None
        memory = node["available_memory_mib"]
        assert isinstance(memory, dict)
        assert (memory["value"], memory["fresh"]) == (1000.0, True)
        n2 = httpx.get(f"{url}/v1/cluster").json()["nodes"][1]
        assert (n2["name"], n2["load1"], n2["available_memory_mib"]) == ("n2", None, None)
        assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"{url}/readyz").json() == {"status": "ok"}
        page = httpx.get(f"{url}/metrics").text
        assert 'nodewise_monitor_scrapes_total{outcome="ok"}' in page
        assert 'nodewise_monitor_scrapes_total{outcome="failed"}' in page
        assert 'nodewise_monitor_figure_age_seconds{figure="load1",node="n1"}' in page
    assert load_observations(client)[N1].load1 is not None


def test_a_restarted_monitor_knows_what_the_last_one_saw(
    settings: Settings, engine: Engine, client: "redis.Redis"
) -> None:
    with engine.begin() as connection:
        insert_node(connection, "n1", SIZE)
    save_observations(client, {N1: load(3.0)}, now=NOW)
    monitor = Monitor.connect(settings, clock=lambda: NOW)
    monitor.watch.look()
    assert monitor.watch.seen.nodes == {N1: load(3.0)}
    monitor.close()


def test_without_postgres_the_known_nodes_are_watched_on(
    settings: Settings, client: "redis.Redis", exporter: Served
) -> None:
    save_observations(client, {N1: load(3.0)}, now=NOW)
    dead = settings.model_copy(update={"database_url": "postgresql://n@127.0.0.1:1/n"})
    monitor = Monitor.connect(dead, clock=lambda: NOW)
    monitor.watch.look()
    assert monitor.watch.seen.nodes == {N1: load(3.0)}
    monitor.close()
