"""Tasks of a submission that no node of the cluster can ever take, as the cluster is now: told with the answer, never refused."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import Engine

from nodewise.api.submission import Submission
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.datasets import datasets_named
from nodewise.core.db.queries.nodes_read import ready_nodes
from nodewise.core.engine.kubeflow.reading import requirements
from nodewise.core.feasibility import lasting_exclusion
from nodewise.core.ir.births import new_task
from nodewise.core.ir.outline import OutlinedTask, outline
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.engines import KUBEFLOW
from nodewise.core.model.ids import TaskPath
from nodewise.core.model.node import Node
from nodewise.core.model.task import DatasetFacts, TaskSpec
from nodewise.core.refusals import refusal

_PATHS_NAMED: Final = 20
_NODES_SECONDS: Final = 1.0
"""So old the nodes may be by which a task fits. That it does not is said by those of now only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """Tasks of one component that no node can take. `paths` are the first of them, `tasks` says how many there are."""

    code: ReasonCode
    text: str
    paths: tuple[TaskPath, ...]
    tasks: int


@dataclass(slots=True)
class NodesSeen:
    """The nodes that may be used, asked for once a second at most, and the pipelines that fit on them: submissions come by the hundred."""

    _clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _nodes: Sequence[Node] | None = None
    _until: float = 0.0
    _fitting: set[tuple[str, str]] = field(default_factory=set)

    def lately(self, engine: Engine) -> Sequence[Node]:
        """Those of the last second."""
        with self._lock:
            known, until = self._nodes, self._until
        return known if known is not None and self._clock() < until else self.now(engine)

    def now(self, engine: Engine) -> Sequence[Node]:
        """Those of this moment."""
        with transaction(engine) as connection:
            found = [view.node for view in ready_nodes(connection)]
        with self._lock:
            self._nodes, self._until = found, self._clock() + _NODES_SECONDS
            self._fitting.clear()
        return found

    def fitted(self, pipeline: tuple[str, str]) -> bool:
        """Whether all of it was found to fit on the nodes of the last second."""
        with self._lock:
            return pipeline in self._fitting and self._clock() < self._until

    def note_fitting(self, pipeline: tuple[str, str]) -> None:
        """All of it fits."""
        with self._lock:
            self._fitting.add(pipeline)


def unfit_now(submission: Submission, engine: Engine, seen: NodesSeen) -> list[Unfit]:
    """What of a submission fits on no node, in the order of the pipeline."""
    pipeline = (submission.pipeline.digest, submission.engine)
    if seen.fitted(pipeline):
        return []
    facts: Mapping[str, DatasetFacts] = {}
    names = submission.dataset_names()
    if names:
        with transaction(engine) as connection:
            facts = {name: row.facts for name, row in datasets_named(connection, names).items()}
    # Nearly always everything fits, and then nothing more is asked.
    if not unfit(submission, facts, seen.lately(engine)):
        if not names:
            seen.note_fitting(pipeline)
        return []
    return unfit(submission, facts, seen.now(engine))


def unfit(submission: Submission, datasets: Mapping[str, DatasetFacts], nodes: Sequence[Node]) -> list[Unfit]:
    """What of a submission fits on none of these nodes; nothing where there are none: that is no fault of the pipeline.

    Every branch counts as taken. What a task needs by parameters is not known before its inputs are: then only its other wishes
    are looked at. O(tasks + components x nodes).
    """
    by_leaf: dict[int, list[OutlinedTask]] = {}
    for task in outline(submission.program) if nodes else ():
        by_leaf.setdefault(id(task.leaf), []).append(task)
    return [found for tasks in by_leaf.values() for found in _unfit(submission, tasks, datasets, nodes)]


def _unfit(
    submission: Submission,
    tasks: Sequence[OutlinedTask],
    datasets: Mapping[str, DatasetFacts],
    nodes: Sequence[Node],
) -> Iterator[Unfit]:
    spec = _spec(submission, tasks[0], datasets)
    exclusions = []
    for node in nodes:
        found = lasting_exclusion(spec, node)
        if found is None:
            return
        exclusions.append(found)
    why = refusal(spec, exclusions)
    paths = tuple(task.path for task in tasks[:_PATHS_NAMED])
    yield Unfit(code=why.code, text=why.text, paths=paths, tasks=len(tasks))


def _spec(submission: Submission, task: OutlinedTask, datasets: Mapping[str, DatasetFacts]) -> TaskSpec:
    """Of all tasks of a component: they need the same."""
    made = new_task(
        task.step, task.leaf, path=task.path, upstream=(), datasets=datasets, engine=submission.engine
    )
    if submission.engine != KUBEFLOW:
        return made.spec
    wanted = requirements(submission.request.platforms, task.leaf.label, made.spec.requirements)
    return replace(made.spec, requirements=wanted)
