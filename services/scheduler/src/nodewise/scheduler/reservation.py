"""Room that is kept for the first task in line that finds none, so that later ones do not hold it up for ever.

EASY backfilling (Lifka, The ANL/IBM SP scheduling system, JSSPP 1995), with learned run times where EASY asks users
for theirs: one task has a reservation; a later one may use the node meanwhile if, by the upper end of its interval, it
is over in time, or if there is room for both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nodewise.core.model.decision import Reason, ReasonCode
from nodewise.core.model.ids import NodeName, TaskRef
from nodewise.core.model.node import NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.task import WaitingTask
from nodewise.core.refusals import about
from nodewise.scheduler.room import Room, Wish


@dataclass(frozen=True, slots=True)
class Ending:
    """Room on a node that is believed to come free at that time."""

    at: datetime
    resources: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """`node` is for `ref` from `at` on. `spare` and `spare_slots` are what will be left beside it (None: any number)."""

    ref: TaskRef
    node: NodeName
    at: datetime
    spare: Resources
    spare_slots: int | None
    team: str = "default"
    planned: bool = False
    """Made for a task of a plan: other tasks of plans know each other and need no telling."""

    def fits_beside(self, need: Resources) -> bool:
        return need.fits_in(self.spare) and self.spare_slots != 0

    def shared_with(self, need: Resources) -> "Reservation":
        """The same after a task that runs on beyond `at` took some of the spare room."""
        slots = None if self.spare_slots is None else self.spare_slots - 1
        return replace(self, spare=self.spare.minus(need), spare_slots=slots)

    def of_plan(self) -> "Reservation":
        return replace(self, planned=True)

    def refusal(self, high: timedelta, now: datetime, *, team: str) -> Reason:
        """Why a task of that team that may run for `high` has to wait, though the node has room.

        It is told to its team: what another team's is called is left out.
        """
        whom = str(self.ref) if team == self.team else "a task of another team"
        text = (
            f"{self.node} is kept free for {whom} from {about(self.at, now)}; this one may run until "
            f"{about(now + high, now)} there"
        )
        return Reason(code=ReasonCode.KEPT_FREE, text=text)


def reservation(
    task: WaitingTask, asked: Wish, room: Room, endings: Mapping[NodeName, Sequence[Ending]]
) -> Reservation | None:
    """The node that has room for it first, as far as the ends of what runs are known; None: no node will, or not for
    want of booked room. O(nodes + live tasks log live tasks).
    """
    found = [
        made
        for view in _views(asked, room)
        if (made := _on(task, asked, view, endings.get(view.name, ()))) is not None
    ]
    return min(found, key=lambda made: (made.at, made.node), default=None)


def _views(asked: Wish, room: Room) -> Iterable[NodeView]:
    """The nodes that can take it once enough has ended."""
    for view in room.views:
        if asked.nodes is not None and view.name not in asked.nodes:
            continue
        kept_off = room.exclusion(asked, view.name)
        if kept_off is not None and kept_off.code in _BOOKED:
            yield view


_BOOKED = frozenset(
    {ReasonCode.CPU_BOOKED, ReasonCode.MEMORY_BOOKED, ReasonCode.GPU_BOOKED, ReasonCode.SLOTS_TAKEN}
)


def _on(task: WaitingTask, asked: Wish, view: NodeView, endings: Sequence[Ending]) -> Reservation | None:
    free, tasks = view.free, view.running_tasks
    for ending in sorted(endings, key=lambda ending: ending.at):
        free, tasks = free + ending.resources, tasks - 1
        slots = None if view.slots is None else view.slots - tasks - 1
        if asked.need.fits_in(free) and (slots is None or slots >= 0):
            spare = free.minus(asked.need)
            return Reservation(
                ref=task.ref,
                node=view.name,
                at=ending.at,
                spare=spare,
                spare_slots=slots,
                team=task.team,
            )
    return None
