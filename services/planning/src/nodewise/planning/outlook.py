"""When planned tasks start and end, and how sure that is: the plan carried out many times with other run times."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf, log
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from nodewise.core.estimates.learning import Prediction
from nodewise.core.model.ids import NodeName, TaskRef
from nodewise.core.model.problem import Assignment, ProblemNode, ProblemTask, TaskId
from nodewise.core.model.resources import Resources
from nodewise.planning.joint import JointPlan
from nodewise.planning.joint_problem import task_id, task_ref

Floats = NDArray[np.float64]

QUANTILES: Final = (0.1, 0.5, 0.9)

_LEAST_S: Final = 1e-6
_FARTHEST: Final = 6.0
"""No run time is drawn farther out than so many standard deviations."""

_OVERDUE_SHARE: Final = 0.25
"""What has outlived all belief needs about this share of its time so far once more, as `forecast.expected_end` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Start and end of a planned task: their medians, and between which the middle 80 % lie."""

    start_low: datetime
    start: datetime
    start_high: datetime
    end_low: datetime
    end: datetime
    end_high: datetime


def outlook(plan: JointPlan, rng: Random, *, now: datetime, samples: int = 200) -> Mapping[TaskRef, Outlook]:
    """The outlook of every planned task. Monte Carlo; O(samples x tasks x tasks at once on a node), in arrays.

    Nodes and the order on each node stay as planned: a task starts when its data is there, those before it on its node
    have started and there is room. In truth the plan is remade when it fails, so this is on the careful side. What is
    held by others ends as expected.

    Args:
        plan: What is carried out.
        rng: The only source of chance.
        now: When the plan was made.
        samples: How often.
    """
    replay = _Replay(plan, np.random.default_rng(rng.getrandbits(64)), samples)
    found = {}
    for ref in sorted(plan.tasks, key=lambda ref: (plan.tasks[ref].start, replay.place[task_id(ref)])):
        starts, ends = replay.run(task_id(ref))
        times = [now + timedelta(seconds=float(at)) for x in (starts, ends) for at in _quantiles(x)]
        found[ref] = Outlook(**dict(zip(Outlook.__slots__, times, strict=True)))
    return found


def _quantiles(values: Floats) -> Floats:
    ordered = np.sort(values)
    return ordered[[round(share * (len(ordered) - 1)) for share in QUANTILES]]


class _Replay:
    """All samples at once: every time is an array."""

    def __init__(self, plan: JointPlan, rng: np.random.Generator, samples: int) -> None:
        self._plan, self._rng, self._samples = plan, rng, samples
        self._lines = {node.name: _Line(node, samples) for node in plan.problem.nodes}
        self._tasks: dict[TaskId, ProblemTask] = {}
        self._release: dict[TaskId, float] = {}
        self._ends: dict[TaskId, Floats] = {}
        for pipeline in plan.problem.pipelines:
            for task in pipeline.tasks:
                key = TaskId(pipeline=pipeline.name, task=task.name)
                self._tasks[key] = task
                self._release[key] = max(plan.problem.now, pipeline.submitted_at, task.not_before)
        self.place = {key: place for place, key in enumerate(self._tasks)}
        for held in plan.problem.held:
            self._hold(held.node, np.full(samples, held.end), held.resources)
        for key, at in plan.problem.fixed.items():
            self._ends[key] = self._end_of_live(key, at)
            self._hold(at.node, self._ends[key], self._tasks[key].resources)

    def run(self, key: TaskId) -> tuple[Floats, Floats]:
        """Start and end of a planned task, those planned before it having run."""
        at, task = self._plan.schedule.assignments[key], self._tasks[key]
        ready = np.full(self._samples, self._release[key])
        for parent in task.after:
            parent_key = TaskId(pipeline=key.pipeline, task=parent.task)
            source = self._plan.schedule.assignments[parent_key].node
            moved = self._plan.problem.links.seconds(parent.mib, source, at.node)
            ready = np.maximum(ready, self._ends[parent_key] + moved)
        start = self._lines[at.node].earliest(ready, task.resources)
        belief = self._plan.predictions[task_ref(key)]
        end = start + _spread(belief, self._rng.standard_normal(self._samples))
        self._lines[at.node].book(end, task.resources)
        self._ends[key] = end
        return start, end

    def _hold(self, node: NodeName, ends: Floats, needs: Resources) -> None:
        if node in self._lines and ends.max() > self._plan.problem.now:
            self._lines[node].book(ends, needs)

    def _end_of_live(self, key: TaskId, at: Assignment) -> Floats:
        belief = self._plan.predictions.get(task_ref(key))
        if at.end <= self._plan.problem.now or belief is None:
            return np.full(self._samples, at.end)
        return at.start + _outlived(
            belief, self._plan.problem.now - at.start, rng=self._rng, samples=self._samples
        )


def _deviations(belief: Prediction) -> tuple[float, float, float]:
    """The logarithm of the median, and the standard deviations below and above it on that scale."""
    middle = log(max(belief.median_seconds, _LEAST_S))
    reach = float(ndtri(0.5 + belief.level / 2))
    below = (middle - log(max(belief.low, _LEAST_S))) / reach
    above = (log(max(belief.high, _LEAST_S)) - middle) / reach
    return middle, max(below, 0.0), max(above, 0.0)


def _spread(belief: Prediction, normal: Floats) -> Floats:
    """Run times at these standard deviations: log-normal with another width on each side of the median."""
    middle, below, above = _deviations(belief)
    clipped = np.clip(normal, -_FARTHEST, _FARTHEST)
    return np.asarray(np.exp(middle + clipped * np.where(clipped < 0, below, above)))


def _outlived(belief: Prediction, elapsed: float, *, rng: np.random.Generator, samples: int) -> Floats:
    """Run times in all of what has run for `elapsed` seconds already."""
    middle, below, above = _deviations(belief)
    distance = log(max(elapsed, _LEAST_S)) - middle
    width = below if distance < 0 else above
    passed = float(ndtr(distance / width)) if width else float(distance >= 0)
    if passed > 1 - 1e-9:
        return elapsed + rng.exponential(max(elapsed, _LEAST_S) * _OVERDUE_SHARE, samples)
    normal = np.asarray(ndtri(passed + (1 - passed) * rng.random(samples)))
    return np.maximum(_spread(belief, normal), elapsed)


class _Line:
    """A node in all samples: who runs there until when. Starts are in order, so what is over before the last is forgotten."""

    def __init__(self, node: ProblemNode, samples: int) -> None:
        capacity = node.capacity
        slots = inf if node.slots is None else node.slots
        self._capacity = np.array([capacity.millicores, capacity.memory_mib, capacity.gpus, slots])
        self._last = np.full(samples, -inf)
        self._ends = np.empty((0, samples))
        self._needs = np.empty((0, 4))

    def earliest(self, ready: Floats, needs: Resources) -> Floats:
        """When a task starts that is ready then: not before those before it, and as soon as enough of them have ended."""
        start = np.maximum(ready, self._last)
        keep = (self._ends > start.min()).any(axis=1)
        self._ends, self._needs = self._ends[keep], self._needs[keep]
        order = np.argsort(self._ends, axis=0)
        ends = np.take_along_axis(self._ends, order, axis=0)
        freed = np.cumsum(self._needs[order], axis=0)
        room = self._capacity - self._needs.sum(axis=0) - _amounts(needs)
        fits = np.concatenate([np.full((1, len(ready)), (room >= 0).all()), (room + freed >= 0).all(axis=2)])
        # Where what is fixed overbooks the node for ever, the task starts when all has ended.
        fits[-1] = True
        waits = np.concatenate([start[None, :], np.maximum(start, ends)])
        self._last = waits[fits.argmax(axis=0), np.arange(len(ready))]
        return self._last

    def book(self, ends: Floats, needs: Resources) -> None:
        """Somebody has room until then."""
        self._ends = np.concatenate([self._ends, ends[None, :]])
        self._needs = np.concatenate([self._needs, _amounts(needs)[None, :]])


def _amounts(needs: Resources) -> Floats:
    return np.array([needs.millicores, needs.memory_mib, needs.gpus, 1.0])
