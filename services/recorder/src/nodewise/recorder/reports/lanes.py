"""Lays attempts that ran on a node at the same time beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

Row = Mapping[str, object]


@dataclass(slots=True, kw_only=True)
class Lane:
    """Attempts on one node that do not overlap, in the order of their start."""

    node: str
    spans: list[Row] = field(default_factory=list)

    def free_at(self, time: datetime) -> bool:
        end = self.spans[-1]["finished_at"]
        return isinstance(end, datetime) and end <= time


def lanes_of(spans: Sequence[Row]) -> Sequence[Lane]:
    """As few lanes per node as there were attempts at once (first fit), nodes by name.

    Args:
        spans: With `node`, `started_at` and `finished_at`, in the order of `started_at`.
    """
    by_node: dict[str, list[Lane]] = {}
    for span in spans:
        node = str(span["node"])
        lanes = by_node.setdefault(node, [])
        start = span["started_at"]
        assert isinstance(start, datetime)  # noqa: S101 - the query leaves no null here
        free = next((lane for lane in lanes if lane.free_at(start)), None)
        if free is None:
            free = Lane(node=node)
            lanes.append(free)
        free.spans.append(span)
    return [lane for node in sorted(by_node) for lane in by_node[node]]
