"""When a node will have room for a task: by what runs there, and by what is believed of its ends."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from nodewise.core.estimates.forecast import expected_end
from nodewise.core.feasibility import exclusion
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster, NodeView, Observation
from nodewise.core.model.situation import Occupancy
from nodewise.core.model.task import TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """From about `at`, when `ended` are over, the node has room."""

    node: NodeName
    at: datetime
    ended: tuple[Occupancy, ...]


def earliest_release(spec: TaskSpec, cluster: Cluster, running: Sequence[Occupancy]) -> Release | None:
    """The node that has room for the task soonest; None: by nothing that runs now. O(nodes + running log running)."""
    by_node: dict[NodeName, list[Occupancy]] = {}
    for one in running:
        by_node.setdefault(one.node, []).append(one)
    found = [release_of(spec, view, cluster, by_node.get(view.name, ())) for view in cluster.nodes]
    known = [release for release in found if release is not None]
    return min(known, key=lambda release: (release.at, release.node), default=None)


def release_of(
    spec: TaskSpec, view: NodeView, cluster: Cluster, running: Sequence[Occupancy]
) -> Release | None:
    """When this node has room, if the tasks that run there end as expected; None: it has now, or that is not enough.

    Its measured memory is taken as unknown: it will be another when they have ended.
    """
    excluded = exclusion(spec, view, cluster)
    if excluded is None or excluded.permanent:
        return None
    left = replace(view, observation=Observation())
    ends = sorted(
        ((_end(one, cluster.taken_at), one) for one in running if one.node == view.name),
        key=lambda pair: (pair[0], pair[1].ref),
    )
    for number, (at, one) in enumerate(ends, 1):
        booked = left.booked.minus(one.resources)
        left = replace(left, booked=booked, running_tasks=max(0, left.running_tasks - 1))
        if exclusion(spec, left, cluster) is None:
            return Release(node=view.name, at=at, ended=tuple(pair[1] for pair in ends[:number]))
    return None


def _end(one: Occupancy, now: datetime) -> datetime:
    return expected_end(one.prediction, started_at=one.started_at, placed_at=one.placed_at, now=now)
