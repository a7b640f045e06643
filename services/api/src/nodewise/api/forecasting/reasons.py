"""Why a planned task does not start sooner: its inputs, or who has its node until then."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nodewise.api.others import NOBODY_ELSE, called
from nodewise.core.estimates.forecast import expected_end
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.situation import Occupancy
from nodewise.planning.joint import PlannedTask

_SAME: Final = timedelta(milliseconds=20)
"""Times of a plan that differ by less are one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """`waits_for` are names: a path of the same run, else `run/path`; what is hidden has none."""

    waits_for: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class _End:
    ref: TaskRef
    at: datetime


class Reasons:
    """Finds what decides each start. O(tasks + running) to make; O(parents + tasks on the node) to ask.

    Tasks of `hidden` runs are not named.
    """

    def __init__(
        self,
        tasks: Mapping[TaskRef, PlannedTask],
        running: Sequence[Occupancy],
        *,
        now: datetime,
        hidden: Set[RunId] = NOBODY_ELSE,
    ) -> None:
        self._tasks, self._now, self._hidden = tasks, now, hidden
        self._ends: dict[NodeName, list[_End]] = {}
        live = {one.ref for one in running}
        for one in running:
            end = expected_end(one.prediction, started_at=one.started_at, placed_at=one.placed_at, now=now)
            self._ends.setdefault(one.node, []).append(_End(one.ref, end))
        for planned in tasks.values():
            if planned.ref not in live:
                self._ends.setdefault(planned.node, []).append(_End(planned.ref, planned.end))

    def why(self, planned: PlannedTask, upstream: Sequence[TaskPath]) -> Why:
        """What this task waits for, the last of it."""
        if planned.start <= self._now + _SAME:
            return Why(waits_for=(), text=f"{planned.node} has room for it at once")
        return (
            self._inputs(planned, upstream)
            or self._node(planned)
            or Why(waits_for=(), text=f"its turn on {planned.node} comes then")
        )

    def _inputs(self, planned: PlannedTask, upstream: Sequence[TaskPath]) -> Why | None:
        run = planned.ref.run_id
        parents = [self._tasks.get(TaskRef(run_id=run, path=path)) for path in upstream]
        ends = {parent.ref.path: parent.end for parent in parents if parent is not None}
        moved = timedelta(seconds=planned.transfer_seconds)
        if not ends or max(ends.values()) + moved < planned.start - _SAME:
            return None
        last = tuple(path for path, end in ends.items() if end + moved >= planned.start - _SAME)
        travel = f" and {planned.transfer_seconds:.1f} s of transfer" if moved > _SAME else ""
        return Why(waits_for=last, text=f"after {', '.join(last)}{travel}")

    def _node(self, planned: PlannedTask) -> Why | None:
        before = [
            end
            for end in self._ends.get(planned.node, ())
            if end.ref != planned.ref and abs(end.at - planned.start) <= _SAME
        ]
        if not before:
            return None
        refs, own = sorted(end.ref for end in before), planned.ref.run_id
        names = " and ".join(ref.path if ref.run_id == own else called(ref, self._hidden) for ref in refs)
        return Why(
            waits_for=tuple(_name(ref, own) for ref in refs if ref.run_id not in self._hidden),
            text=f"{planned.node} is busy until then with {names}",
        )


def _name(ref: TaskRef, own: RunId) -> str:
    return ref.path if ref.run_id == own else f"{ref.run_id}/{ref.path}"
