"""Between which times planned tasks start and end: the plan carried out many times with other run times."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, inf, log, sqrt
from random import Random
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nodewise.core.estimates.learning import Prediction
from nodewise.core.model.ids import NodeName, TaskRef
from nodewise.core.model.problem import Assignment, ProblemNode, ProblemTask, TaskId
from nodewise.core.model.resources import Resources
from nodewise.planning.joint import JointPlan
from nodewise.planning.joint_problem import task_id, task_ref

Floats = NDArray[np.float64]

LEVEL: Final = 0.8
"""The probability that an outcome lies in its range."""
DRAWS: Final = 200
"""At a time."""
MOST_DRAWS: Final = 2000

_TAIL: Final = (1 - LEVEL) / 2
_CLOSE: Final = 0.1
"""Enough was drawn once either end of the range is known to this share of its width ..."""
_SURE: Final = 1.96
"""... with a probability of 95 %."""
_WORK: Final = 400_000
"""Tasks x draws that may be spent beyond the first draws."""

_LEAST_S: Final = 1e-6
_FARTHEST: Final = 6.0
"""No run time is drawn farther out than so many standard deviations."""

_OVERDUE_SHARE: Final = 0.25
"""What has outlived all belief needs about this share of its time so far once more, as `forecast.expected_end` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """80 % of all outcomes lie between, or a little more: it also holds what is planned."""

    low: datetime
    high: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The start and the end of some planned tasks taken together: their first start, their last end."""

    start: Range
    end: Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlooks:
    """Of each task that was asked about, and of all of them together (None: there are none)."""

    tasks: dict[TaskRef, Outlook]
    together: Outlook | None


def outlook(plan: JointPlan, tasks: Collection[TaskRef], rng: Random, *, now: datetime) -> Outlooks:
    """Between which times these tasks start and end.

    Monte Carlo; O(draws x tasks planned up to the last of these x tasks at once on a node), in arrays. It draws until more
    draws would hardly move the range of the last end: 200 times mostly, up to 2,000 times where run times are hardly known.

    Nodes and the order on each node stay as planned: a task starts when its data is there, those before it on its node
    have started and there is room. In truth the plan is remade when it fails, so this is on the careful side. What is
    held by others ends as expected.

    Args:
        plan: What is carried out.
        tasks: Some of those that it has.
        rng: The only source of chance.
        now: When the plan was made.
    """
    if not tasks:
        return Outlooks(tasks={}, together=None)
    replay = _Replay(plan, tasks, np.random.default_rng(rng.getrandbits(64)))
    replay.draw()
    for _ in range(min(MOST_DRAWS // DRAWS - 1, _WORK // (DRAWS * len(replay.order)))):
        if _is_close(replay.last_ends()):
            break
        replay.draw()
    return _told(plan, replay, tasks, now=now)


def _is_close(values: Floats) -> bool:
    """Whether both ends of the range are known well enough, by the ranks between which they surely lie."""
    ordered, count = np.sort(values), len(values)
    reach = _SURE * sqrt(count * _TAIL * (1 - _TAIL))
    unsure = max(
        _at(ordered, (rank + reach) / count) - _at(ordered, (rank - reach) / count)
        for rank in (count * _TAIL, count * (1 - _TAIL))
    )
    return unsure / 2 <= _CLOSE * (_at(ordered, 1 - _TAIL) - _at(ordered, _TAIL))


def _at(ordered: Floats, share: float) -> float:
    return float(ordered[round(min(max(share, 0.0), 1.0) * (len(ordered) - 1))])


def _told(plan: JointPlan, replay: "_Replay", tasks: Collection[TaskRef], *, now: datetime) -> Outlooks:
    planned = [plan.tasks[ref] for ref in tasks]
    found = {
        task.ref: Outlook(
            start=_range(replay.starts[task.ref], task.start, now),
            end=_range(replay.ends[task.ref], task.end, now),
        )
        for task in planned
    }
    together = Outlook(
        start=_range([replay.first_starts()], min(task.start for task in planned), now),
        end=_range([replay.last_ends()], max(task.end for task in planned), now),
    )
    return Outlooks(tasks=found, together=together)


def _range(draws: Sequence[Floats], planned: datetime, now: datetime) -> Range:
    """Much that may last longer than planned together surely does: then the plan is at the edge of its own range."""
    ordered = np.sort(np.concatenate(draws))
    low, high = (now + timedelta(seconds=_at(ordered, share)) for share in (_TAIL, 1 - _TAIL))
    return Range(low=min(low, planned), high=max(high, planned))


class _Replay:
    """The plan, carried out again and again. All draws of one time are made at once: every time is an array."""

    def __init__(self, plan: JointPlan, asked: Collection[TaskRef], rng: np.random.Generator) -> None:
        self._plan, self._rng = plan, rng
        self._tasks: dict[TaskId, ProblemTask] = {}
        self._release: dict[TaskId, float] = {}
        for pipeline in plan.problem.pipelines:
            for task in pipeline.tasks:
                key = TaskId(pipeline=pipeline.name, task=task.name)
                self._tasks[key] = task
                self._release[key] = max(plan.problem.now, pipeline.submitted_at, task.not_before)
        place = {key: place for place, key in enumerate(self._tasks)}
        order = sorted(plan.tasks, key=lambda ref: (plan.tasks[ref].start, place[task_id(ref)]))
        last = max(number for number, ref in enumerate(order) if ref in set(asked))
        self.order = [task_id(ref) for ref in order[: last + 1]]
        """Who starts after the last that is asked about changes nothing for it."""
        self.starts: dict[TaskRef, list[Floats]] = {ref: [] for ref in asked}
        self.ends: dict[TaskRef, list[Floats]] = {ref: [] for ref in asked}

    def draw(self) -> None:
        """Carry it out some more times."""
        once = _Once(self._plan, self._tasks, self._release, self._rng)
        for key in self.order:
            start, end = once.run(key)
            ref = task_ref(key)
            if ref in self.starts:
                self.starts[ref].append(start)
                self.ends[ref].append(end)

    def first_starts(self) -> Floats:
        """Of all that are asked about, in each draw."""
        return np.asarray(np.minimum.reduce([np.concatenate(draws) for draws in self.starts.values()]))

    def last_ends(self) -> Floats:
        """Of all that are asked about, in each draw."""
        return np.asarray(np.maximum.reduce([np.concatenate(draws) for draws in self.ends.values()]))


class _Once:
    """The plan carried out, in `DRAWS` ways."""

    def __init__(
        self,
        plan: JointPlan,
        tasks: dict[TaskId, ProblemTask],
        release: dict[TaskId, float],
        rng: np.random.Generator,
    ) -> None:
        self._plan, self._tasks, self._release, self._rng = plan, tasks, release, rng
        self._lines = {node.name: _Line(node) for node in plan.problem.nodes}
        self._ends: dict[TaskId, Floats] = {}
        for held in plan.problem.held:
            self._hold(held.node, np.full(DRAWS, held.end), held.resources)
        for key, at in plan.problem.fixed.items():
            self._ends[key] = self._end_of_live(key, at)
            self._hold(at.node, self._ends[key], tasks[key].resources)

    def run(self, key: TaskId) -> tuple[Floats, Floats]:
        """Start and end of a planned task, those planned before it having run."""
        at, task = self._plan.schedule.assignments[key], self._tasks[key]
        ready = np.full(DRAWS, self._release[key])
        for parent in task.after:
            parent_key = TaskId(pipeline=key.pipeline, task=parent.task)
            source = self._plan.schedule.assignments[parent_key].node
            moved = self._plan.problem.links.seconds(parent.mib, source, at.node)
            ready = np.maximum(ready, self._ends[parent_key] + moved)
        start = self._lines[at.node].earliest(ready, task.resources)
        end = start + _spread(self._plan.predictions[task_ref(key)], _quantiles(self._shares()))
        self._lines[at.node].book(end, task.resources)
        self._ends[key] = end
        return start, end

    def _shares(self) -> Floats:
        """Uniform, one from each of `DRAWS` equal parts of 0 to 1, in a random order.

        McKay, Beckman, Conover: "A comparison of three methods for selecting values of input variables", Technometrics
        21(2), 1979: as good as many times as many plain draws, where times add up.
        """
        return np.asarray((self._rng.permutation(DRAWS) + self._rng.random(DRAWS)) / DRAWS)

    def _hold(self, node: NodeName, ends: Floats, needs: Resources) -> None:
        if node in self._lines and ends.max() > self._plan.problem.now:
            self._lines[node].book(ends, needs)

    def _end_of_live(self, key: TaskId, at: Assignment) -> Floats:
        belief = self._plan.predictions.get(task_ref(key))
        if at.end <= self._plan.problem.now or belief is None:
            return np.full(DRAWS, at.end)
        return at.start + _outlived(belief, self._plan.problem.now - at.start, self._shares())


def _deviations(belief: Prediction) -> tuple[float, float, float]:
    """The logarithm of the median, and the standard deviations below and above it on that scale."""
    middle = log(max(belief.median_seconds, _LEAST_S))
    reach = NormalDist().inv_cdf(0.5 + belief.level / 2)
    below = (middle - log(max(belief.low, _LEAST_S))) / reach
    above = (log(max(belief.high, _LEAST_S)) - middle) / reach
    return middle, max(below, 0.0), max(above, 0.0)


def _quantiles(shares: Floats) -> Floats:
    """The standard normal's, at these shares."""
    from scipy.special import ndtri  # noqa: PLC0415 (half a second to import, which a service spends at its first forecast)

    return np.asarray(ndtri(shares))


def _spread(belief: Prediction, normal: Floats) -> Floats:
    """Run times at these standard deviations: log-normal with another width on each side of the median."""
    middle, below, above = _deviations(belief)
    clipped = np.clip(normal, -_FARTHEST, _FARTHEST)
    return np.asarray(np.exp(middle + clipped * np.where(clipped < 0, below, above)))


def _outlived(belief: Prediction, elapsed: float, shares: Floats) -> Floats:
    """Run times in all of what has run for `elapsed` seconds already, at these shares of what is still possible."""
    middle, below, above = _deviations(belief)
    distance = log(max(elapsed, _LEAST_S)) - middle
    width = below if distance < 0 else above
    passed = NormalDist().cdf(distance / width) if width else float(distance >= 0)
    if passed > 1 - 1e-9:
        return elapsed - max(elapsed, _LEAST_S) * _OVERDUE_SHARE * np.log1p(-shares)
    return np.maximum(_spread(belief, _quantiles(passed + (1 - passed) * shares)), elapsed)


class _Line:
    """A node in all draws: who runs there until when. Starts are in order, so what is over before the last is forgotten."""

    def __init__(self, node: ProblemNode) -> None:
        slots = inf if node.slots is None else node.slots
        self._free = np.array([*_amounts(node.capacity)[:3], slots])
        self._last = np.full(DRAWS, -inf)
        self._ends: list[Floats] = []
        self._needs: list[Floats] = []

    def earliest(self, ready: Floats, needs: Resources) -> Floats:
        """When a task starts that is ready then: not before those before it, and as soon as enough of them have ended."""
        start: Floats = np.maximum(ready, self._last)
        self._forget(start)
        lacking = _amounts(needs) - self._free
        scarce = lacking > 0
        # Where what is fixed overbooks the node for ever, the task starts when all has ended.
        if scarce.any() and self._ends:
            start = np.maximum(start, self._room(lacking[scarce], scarce))
        self._last = start
        return start

    def book(self, ends: Floats, needs: Resources) -> None:
        """Somebody has room until then."""
        self._ends.append(ends)
        self._needs.append(_amounts(needs))
        self._free = self._free - self._needs[-1]

    def _forget(self, start: Floats) -> None:
        """Who has ended before in every draw."""
        gone = [number for number, ends in enumerate(self._ends) if not (ends > start).any()]
        for number in reversed(gone):
            del self._ends[number]
            self._free = self._free + self._needs.pop(number)

    def _room(self, lacking: Floats, scarce: NDArray[np.bool_]) -> Floats:
        """When so much of what is scarce has come free: tasks end one by one until it has."""
        ends, each = np.array(self._ends), np.array(self._needs)[:, scarce]
        if (each == each[0]).all() and each[0].all():
            enough = min(ceil((lacking / each[0]).max()), len(ends)) - 1
            return np.asarray(np.partition(ends, enough, axis=0)[enough])
        order = np.argsort(ends, axis=0)
        freed = np.cumsum(each[order], axis=0)
        enough_at = np.minimum((freed < lacking).any(axis=2).sum(axis=0), len(ends) - 1)
        return np.asarray(np.take_along_axis(ends, order, axis=0)[enough_at, np.arange(DRAWS)])


def _amounts(needs: Resources) -> Floats:
    return np.array([needs.millicores, needs.memory_mib, needs.gpus, 1.0])
