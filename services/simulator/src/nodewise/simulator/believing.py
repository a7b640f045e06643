"""What the decision believes of run times: the estimates of the problem, as wide as they are wrong on the whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nodewise.core.estimates.learning import Basis, Prediction
from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.node import Node
from nodewise.core.model.problem import Problem
from nodewise.core.model.task import TaskFacts
from nodewise.simulator.scenario import Scenario

LEVEL: Final = 0.8
"""So many outcomes lie within an interval, as of the intervals of the live stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """An interval goes from `low` to `high` times its median."""

    low: float = 1.0
    high: float = 1.0


def spread_of(scenario: Scenario) -> Spread:
    """How wide intervals must be to hold 80 % of the true run times, half of the rest on each side. O(n log n).

    One figure for all tasks: so much a stack that has learned knows of its own errors. Where nothing is estimated the
    interval is the median.
    """
    if scenario.believed is scenario.truth:
        return Spread()
    ratios = sorted(_ratios(scenario.truth, scenario.believed))
    if not ratios:
        return Spread()
    tail = (1 - LEVEL) / 2
    return Spread(low=min(1.0, _quantile(ratios, tail)), high=max(1.0, _quantile(ratios, 1 - tail)))


def _ratios(truth: Problem, believed: Problem) -> list[float]:
    pairs = zip(truth.pipelines, believed.pipelines, strict=True)
    tasks = ((task, seen) for a, b in pairs for task, seen in zip(a.tasks, b.tasks, strict=True))
    return [
        seconds / seen.seconds[node]
        for task, seen in tasks
        for node, seconds in task.seconds.items()
        if seen.seconds[node] > 0
    ]


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[round(share * (len(ordered) - 1))]


class Believing:
    """A `ports.Predict` that looks up the believed seconds of that task on that node."""

    def __init__(self, believed: Problem, spread: Spread | None = None) -> None:
        self._spread = spread or Spread()
        self._seconds = {
            TaskRef(run_id=RunId(pipeline.name), path=TaskPath(task.name)): (
                task.seconds,
                dict[NodeName, Prediction](),
            )
            for pipeline in believed.pipelines
            for task in pipeline.tasks
        }

    def __call__(self, task: TaskFacts, node: Node, /) -> Prediction:
        """The prediction; on a node that cannot run the task the longest that is believed of any other."""
        known, said = self._seconds[task.ref]
        if node.name not in said:
            said[node.name] = self._prediction(known, node.name)
        return said[node.name]

    def _prediction(self, known: Mapping[NodeName, float], node: NodeName) -> Prediction:
        median = known[node] if node in known else max(known.values())
        return Prediction(
            median_seconds=median,
            low=median * self._spread.low,
            high=median * self._spread.high,
            level=LEVEL,
            basis=Basis.LEARNED,
            samples=1,
        )
