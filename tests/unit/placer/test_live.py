"""What runs is loaded once in a look, and only where somebody wants to know."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from nodewise.core import plugins
from nodewise.core.model.decision import Placement
from nodewise.core.model.node import Cluster
from nodewise.core.model.situation import Occupancy
from nodewise.placer.live import LiveTasks
from nodewise.placer.mapping import MappingContext, map_tasks
from tests.support.builders import NOON, a_cluster, a_node, a_task, placement_context, seconds
from tests.unit.placer.test_costs import live, ten_seconds


@dataclass
class Record:
    """Where it is loaded from; counts how often."""

    running: list[Occupancy] = field(default_factory=list)
    loads: int = 0

    def load(self) -> Iterable[Occupancy]:
        self.loads += 1
        return self.running


def told(tasks: LiveTasks, record: Record, cluster: Cluster) -> dict[str, object]:
    """What each node is said to have a small task wait for."""
    context = MappingContext(
        strategies=plugins.strategies(),
        now=NOON,
        rng=placement_context().rng,
        predict=ten_seconds,
        running=tasks.seen(record.load, now=NOON),
        costs_told=True,
    )
    [placement] = map_tasks([a_task(cores=1)], cluster, context)
    assert isinstance(placement, Placement)
    return {one.node: one.scores["wait_seconds"] for one in placement.candidates}


def test_nothing_is_loaded_where_every_node_has_room() -> None:
    record = Record([live("a", ends=7)])
    assert told(LiveTasks(), record, a_cluster(a_node("n1"), a_node("n2", booked=1))) == {
        "n1": 0.0,
        "n2": 0.0,
    }
    assert record.loads == 0


def test_a_full_node_has_it_loaded_once_and_told_from_then_on() -> None:
    tasks, record = LiveTasks(), Record([live("a", ends=7)])
    cluster = a_cluster(a_node("n1", booked=2), a_node("n2"))
    for _ in range(3):
        assert told(tasks, record, cluster) == {"n1": 7.0, "n2": 0.0}
    assert record.loads == 1


def test_what_was_booked_since_is_added_to_what_was_loaded() -> None:
    tasks, record = LiveTasks(), Record([live("a", ends=7)])
    before = tasks.seen(record.load, now=NOON)
    assert len(before) == 1
    tasks.add([live("b", ends=3)])
    assert [one.ref.path for one in tasks.seen(record.load, now=NOON)] == ["a", "b"]
    assert len(before) == 1
    assert (record.loads, len(record.running)) == (1, 1)


def test_what_was_booked_before_it_is_loaded_is_on_record_already() -> None:
    tasks, record = LiveTasks(), Record([live("a", ends=7)])
    tasks.add([live("a", ends=7)])
    assert len(tasks.seen(record.load, now=NOON)) == 1


def test_a_look_that_takes_long_loads_again() -> None:
    tasks, record = LiveTasks(), Record([live("a", ends=7)])
    assert tasks.seen(record.load, now=NOON)[0].ref.path == "a"
    record.running = [live("b", ends=7)]
    assert tasks.seen(record.load, now=NOON + seconds(1))[0].ref.path == "a"
    assert tasks.seen(record.load, now=NOON + seconds(1.1))[0].ref.path == "b"
