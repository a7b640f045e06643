"""What each node would cost a task: how long until it has room, how long the data travels, how long it runs. Pure."""

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from nodewise.core.estimates.forecast import expected_end
from nodewise.core.estimates.learning import Prediction
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.model.decision import Exclusion, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import NodeView
from nodewise.core.model.resources import Resources
from nodewise.core.model.situation import Occupancy
from nodewise.core.model.task import TaskInput, WaitingTask
from nodewise.core.ports import PlacementContext

Amounts = tuple[int, int, int]
"""Millicores, MiB of memory, GPUs."""

_KINDS_KNOWN: Final = 32
"""So many kinds of tasks, and run times of each, are remembered with what was said to them."""

_Kind = tuple[Resources, tuple[TaskInput, ...]]

UNITS: Final = ((60 * 100, 3600, "h"), (100, 60, "min"), (0, 1, "s"))
"""From so many seconds on, a time is told in this unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One task on one node. `wait_seconds`: until it has room; None: nobody knows what holds it, or for how long."""

    run: Prediction
    transfer_seconds: float
    wait_seconds: float | None

    @property
    def finish_seconds(self) -> float | None:
        """From now to the expected end; None: nobody knows when it could start."""
        if self.wait_seconds is None:
            return None
        return self.wait_seconds + self.transfer_seconds + self.run.median_seconds

    def scores(self) -> Mapping[str, float | None]:
        """As a candidate carries it, to the millisecond. `run_low` and `run_high` hold with the prediction's level."""
        wait, finish = self.wait_seconds, self.finish_seconds
        return {
            "run_seconds": round(self.run.median_seconds, 3),
            "run_low": round(self.run.low, 3),
            "run_high": round(self.run.high, 3),
            "transfer_seconds": round(self.transfer_seconds, 3),
            "wait_seconds": None if wait is None else round(wait, 3),
            "finish_seconds": None if finish is None else round(finish, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was said of a node as it is booked in `view`. `unknown`: nobody can tell when it has room."""

    view: NodeView
    unknown: bool
    cost: Cost
    scores: Mapping[str, float | None]


class Ask(Protocol):
    """What a node would cost one task."""

    def __call__(self, view: NodeView, excluded: Exclusion | None = None) -> Told: ...


class Prices:
    """Costs while decisions are made: what was decided before holds its room, too. Mutable within one call only."""

    def __init__(self, context: PlacementContext) -> None:
        self._context = context
        self._running: dict[NodeName, list[Occupancy]] | None = None
        self._booked: dict[NodeName, list[tuple[float, Amounts]]] = {}
        self._ends: dict[NodeName, list[tuple[float, Amounts]]] = {}
        self._waits: dict[NodeName, dict[Resources, float | None]] = {}
        self._told: dict[_Kind, dict[NodeName, dict[Prediction, Told]]] = {}

    def cost(self, task: WaitingTask, view: NodeView, excluded: Exclusion | None = None) -> Cost:
        """What the node, as it is booked now, would cost. O(inputs), and once per size of a task O(what runs there).

        Args:
            task: That is to be placed.
            view: The node with all bookings so far.
            excluded: What keeps the task off it now. When other programs give memory back is not known.
        """
        return self.of(task)(view, excluded).cost

    def of(self, task: WaitingTask) -> Ask:
        """The same of one task, with the scores that tell it: to ask for many nodes.

        The answer is the very one that an equal task got, as long as the node was not booked in between.
        """
        facts, need = task.facts, effective_resources(task.spec)
        told = self._told_before(need, task.inputs)

        def ask(view: NodeView, excluded: Exclusion | None = None) -> Told:
            run = self._context.predict(facts, view.node)
            unknown = excluded is not None and excluded.code is ReasonCode.MEMORY_IN_USE
            on_node = told.setdefault(view.name, {})
            known = on_node.get(run)
            if known is None or known.view is not view or known.unknown != unknown:
                if len(on_node) >= _KINDS_KNOWN:
                    on_node.clear()
                wait = None if unknown else self._wait(need, view)
                cost = Cost(run=run, transfer_seconds=self._transfer(task, view.name), wait_seconds=wait)
                known = on_node[run] = Told(view=view, unknown=unknown, cost=cost, scores=cost.scores())
            return known

        return ask

    def _told_before(
        self, need: Resources, inputs: tuple[TaskInput, ...]
    ) -> dict[NodeName, dict[Prediction, Told]]:
        """What was said to those who need the same and have the same inputs, by what was believed of their run times."""
        kind = (need, inputs)
        found = self._told.pop(kind, {})
        self._told[kind] = found
        while len(self._told) > _KINDS_KNOWN:
            del self._told[next(iter(self._told))]
        return found

    def book(self, task: WaitingTask, view: NodeView) -> None:
        """Let the task hold its room on that node from now on; `view` is the node before it is booked."""
        need, cost = effective_resources(task.spec), self.cost(task, view)
        held = (cost.finish_seconds or 0.0, _amounts(need))
        self._booked.setdefault(view.name, []).append(held)
        if view.name in self._ends:
            insort(self._ends[view.name], held)
        self._waits.pop(view.name, None)
        for told in self._told.values():
            told.pop(view.name, None)

    def _transfer(self, task: WaitingTask, node: NodeName) -> float:
        """Inputs travel side by side, as plans reckon: the largest decides."""
        away = [data.mib for data in task.inputs if data.node != node]
        return max(away, default=0.0) / self._context.link_mib_per_s

    def _wait(self, need: Resources, view: NodeView) -> float | None:
        known = self._waits.setdefault(view.name, {})
        if need not in known:
            lack = _lack(need, view)
            known[need] = 0.0 if max(lack) <= 0 else _first_room(lack, self._ends_on(view.name))
        return known[need]

    def _ends_on(self, node: NodeName) -> list[tuple[float, Amounts]]:
        """What frees room on the node when, in seconds from now, the first first. Only a node that lacks room is asked for it."""
        if node not in self._ends:
            found = [(self._end(one), _amounts(one.resources)) for one in self._running_on(node)]
            self._ends[node] = sorted(found + self._booked.get(node, []))
        return self._ends[node]

    def _running_on(self, node: NodeName) -> Sequence[Occupancy]:
        if self._running is None:
            self._running = {}
            for live in self._context.running:
                self._running.setdefault(live.node, []).append(live)
        return self._running.get(node, ())

    def _end(self, live: Occupancy) -> float:
        now = self._context.now
        end = expected_end(live.prediction, started_at=live.started_at, placed_at=live.placed_at, now=now)
        return (end - now).total_seconds()


def _amounts(resources: Resources) -> Amounts:
    return (resources.millicores, resources.memory_mib, resources.gpus)


def _lack(need: Resources, view: NodeView) -> tuple[int, int, int, int]:
    """What the node lacks of each amount, and how many tasks it would have beyond its slots; what is not lacking is not positive."""
    size, booked = view.node.capacity, view.booked
    beyond = 0 if view.slots is None else view.running_tasks + 1 - view.slots
    return (
        need.millicores + booked.millicores - size.millicores,
        need.memory_mib + booked.memory_mib - size.memory_mib,
        need.gpus + booked.gpus - size.gpus,
        beyond,
    )


def _first_room(lack: Sequence[int], ends: Sequence[tuple[float, Amounts]]) -> float | None:
    """When the node first has room, in seconds from now; None: not even when all that is known of has ended."""
    *missing, beyond = lack
    for end, freed in ends:
        missing = [less - back for less, back in zip(missing, freed, strict=True)]
        beyond -= 1
        if max(*missing, beyond) <= 0:
            return max(0.0, end)
    return None


def told_interval(run: Prediction) -> str:
    """A run time for a sentence: `about 3.2 s (2.1-4.9 s)`."""
    (low, unit), (high, same) = _in_unit(run.low), _in_unit(run.high)
    between = f"{low}-{high} {same}" if unit == same else f"{low} {unit} to {high} {same}"
    return f"about {told(run.median_seconds)} ({between})"


def told(seconds: float) -> str:
    """A duration for a sentence: `0.3 s`, `12 s`, `7.5 min`."""
    return " ".join(_in_unit(seconds))


def _in_unit(seconds: float) -> tuple[str, str]:
    size, name = next((size, name) for least, size, name in UNITS if seconds >= least)
    value = seconds / size
    return (f"{value:.1f}" if value < 9.95 else f"{value:.0f}", name)
