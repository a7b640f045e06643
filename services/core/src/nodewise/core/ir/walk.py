"""One walk over a run: from the root down, every instance of a step that its inputs have reached so far.

The simple algorithm that this is: evaluate the pipeline as if it were an expression, where a leaf's value is its row. Nothing is
kept between two walks, so a run is rebuilt from its rows at any moment. O(instances + edges).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from nodewise.core.errors import UnresolvedInput
from nodewise.core.ir.evaluation import ExpressionFailed
from nodewise.core.ir.gather import combined, dag_outputs, loop_outputs
from nodewise.core.ir.importing import imported
from nodewise.core.ir.moves import (
    Cause,
    FailedTask,
    Group,
    GroupKind,
    NewTask,
    ReadyTask,
    SkippedTask,
)
from nodewise.core.ir.resolve import Scope, StepResult, condition_met, loop_items, resolve, with_item
from nodewise.core.ir.rows import Row, Rows, RunFacts
from nodewise.core.ir.tree import Dag, Leaf, Program, Step
from nodewise.core.ir.unmet import why_not_met
from nodewise.core.lifecycle import FINAL_TASK_STATES, TaskState
from nodewise.core.model.artifact import Values
from nodewise.core.model.ids import TaskPath

_WAITING: Final = StepResult(state=TaskState.WAITING)
_CAUSES: Final[Mapping[TaskState, Cause]] = {
    TaskState.FAILED: Cause.UPSTREAM_FAILED,
    TaskState.CANCELED: Cause.UPSTREAM_CANCELED,
    TaskState.SKIPPED: Cause.UPSTREAM_SKIPPED,
}


class TooLarge(Exception):
    """The run would have more instances than its program may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a step stands: in which instance of its DAG, and what holds there."""

    prefix: str
    scope: Scope
    stopping: bool
    delay: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class _Skip:
    cause: Cause
    reason: str


_RUN_CANCELED: Final = _Skip(cause=Cause.RUN_CANCELED, reason="the run is canceled")


@dataclass(slots=True, kw_only=True)
class Walk:
    """A walk and what it found."""

    program: Program
    rows: Rows
    facts: RunFacts
    new: list[NewTask] = field(default_factory=list)
    ready: list[ReadyTask] = field(default_factory=list)
    skipped: list[SkippedTask] = field(default_factory=list)
    failed: list[FailedTask] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    _left: int = 0
    _begun: frozenset[str] = frozenset()

    def run(self, parameters: Mapping[str, object], *, canceling: bool) -> StepResult:
        """Walk the whole run.

        Raises:
            TooLarge: it has too many instances; what was found so far is of no use.
        """
        self._left = self.program.max_instances
        self._begun = frozenset(_around(self.rows))
        inputs = Values(parameters=parameters)
        return self._dag(self.program.root, "", inputs, stopping=canceling, delay=timedelta(0))

    def _dag(self, dag: Dag, path: str, inputs: Values, *, stopping: bool, delay: timedelta) -> StepResult:
        results: dict[str, StepResult] = {}
        place = _Place(
            prefix=f"{path}." if path else "",
            scope=Scope(inputs=inputs, results=results, facts=self.facts),
            stopping=stopping,
            delay=delay,
        )
        for step in dag.steps:
            results[step.name] = self._step(step, place)
        state, message = combined(results)
        outputs = dag_outputs(dag, results) if state in FINAL_TASK_STATES else Values()
        return StepResult(state=state, outputs=outputs, message=message)

    def _step(self, step: Step, place: _Place) -> StepResult:
        self._count()
        path = f"{place.prefix}{step.name}"
        if step.finaliser and place.stopping:
            place = replace(place, stopping=False)
        waiting, skip = _verdict(step, place)
        if isinstance(step.component, Leaf) and step.loop is None:
            return self._leaf(step, path, place, waiting=waiting, skip=skip)
        result = _WAITING
        if skip is not None:
            result = _ended(skip)
        elif not waiting:
            result = self._group(step, path, place)
        kind = GroupKind.DAG if step.loop is None else GroupKind.LOOP
        reason = _awaited(step, place) if waiting and skip is None else result.message
        self.groups.append(
            Group(path=TaskPath(path), kind=kind, state=result.state, reason=reason, cause=result.cause)
        )
        return result

    def _group(self, step: Step, path: str, place: _Place) -> StepResult:
        try:
            values = resolve(step, place.scope, path=path)
            if not condition_met(step, values):
                return _ended(_Skip(cause=Cause.CONDITION, reason=why_not_met(step, values)))
            if step.loop is None:
                return self._component(step, path, values, place)
            return self._loop(step, path, values, place)
        except (UnresolvedInput, ExpressionFailed) as error:
            return StepResult(state=TaskState.FAILED, message=_words(error))

    def _loop(self, step: Step, path: str, values: Values, place: _Place) -> StepResult:
        items = loop_items(step, values, path=path)
        if len(items) > self.program.max_instances:
            raise UnresolvedInput(
                path,
                step.name,
                f"{len(items)} items, but a run has at most {self.program.max_instances} tasks",
            )
        results: list[StepResult] = []
        under_way = 0
        for index, item in enumerate(items):
            if step.parallelism and under_way >= step.parallelism:
                break
            results.append(self._iteration(step, f"{path}[{index}]", values, place, item=item))
            under_way += results[-1].state not in FINAL_TASK_STATES
        state, message = combined({f"[{index}]": result for index, result in enumerate(results)})
        # What was not begun yet waits for what is under way, so then the state is not final either.
        if state not in FINAL_TASK_STATES:
            return StepResult(state=TaskState.RUNNING)
        outputs = loop_outputs(step.component.signature, results)
        return StepResult(state=state, outputs=outputs, message=message)

    def _iteration(self, step: Step, path: str, values: Values, place: _Place, *, item: object) -> StepResult:
        self._count()
        try:
            inputs = with_item(step, values, item, path=path)
        except UnresolvedInput as error:
            return StepResult(state=TaskState.FAILED, message=_words(error))
        return self._component(step, path, inputs, place)

    def _component(self, step: Step, path: str, inputs: Values, place: _Place) -> StepResult:
        """One instance of a step's component; a DAG that failed is tried again from its start, under a path of its own."""
        component = step.component
        if isinstance(component, Leaf):
            return self._begin(step, path, place, inputs)
        attempt, delay = 1, place.delay
        while True:
            instance = path if attempt == 1 else f"{path}~{attempt}"
            fresh = timedelta(0) if instance in self._begun else delay
            result = self._dag(component, instance, inputs, stopping=place.stopping, delay=fresh)
            again = attempt <= step.retry.max_retries and not place.stopping
            if result.state is not TaskState.FAILED or not (again or f"{path}~{attempt + 1}" in self._begun):
                return result
            self._count()
            delay = step.retry.delay(attempt)
            attempt += 1

    def _leaf(self, step: Step, path: str, place: _Place, *, waiting: bool, skip: _Skip | None) -> StepResult:
        if not self._waits(path):
            return _of_row(self.rows[TaskPath(path)])
        if skip is not None:
            return self._skip(step, path, place, skip)
        if waiting:
            self._make(step, path, place)
            return _WAITING
        try:
            inputs = resolve(step, place.scope, path=path)
            met = condition_met(step, inputs)
        except (UnresolvedInput, ExpressionFailed) as error:
            return self._fail(step, path, place, error)
        if not met:
            condition = _Skip(cause=Cause.CONDITION, reason=why_not_met(step, inputs))
            return self._skip(step, path, place, condition)
        return self._begin(step, path, place, inputs)

    def _begin(self, step: Step, path: str, place: _Place, inputs: Values) -> StepResult:
        """A leaf whose turn has come, with its inputs."""
        key = TaskPath(path)
        if not self._waits(path):
            return _of_row(self.rows[key])
        if place.stopping:
            return self._skip(step, path, place, _RUN_CANCELED)
        leaf = self._make(step, path, place)
        try:
            outputs = imported(leaf.work, inputs, path=path)
        except UnresolvedInput as error:
            return self._fail(step, path, place, error)
        self.ready.append(
            ReadyTask(path=key, step=step, leaf=leaf, inputs=inputs, delay=place.delay, imported=outputs)
        )
        return StepResult(state=TaskState.READY)

    def _skip(self, step: Step, path: str, place: _Place, skip: _Skip) -> StepResult:
        # In a run that is being canceled nothing is made only to be skipped.
        if not place.stopping or TaskPath(path) in self.rows:
            self._make(step, path, place)
            self.skipped.append(SkippedTask(path=TaskPath(path), cause=skip.cause, reason=skip.reason))
        return _ended(skip)

    def _fail(
        self, step: Step, path: str, place: _Place, error: UnresolvedInput | ExpressionFailed
    ) -> StepResult:
        self._make(step, path, place)
        self.failed.append(FailedTask(path=TaskPath(path), reason=_words(error)))
        return StepResult(state=TaskState.FAILED, message=_words(error))

    def _make(self, step: Step, path: str, place: _Place) -> Leaf:
        leaf = step.component
        if not isinstance(leaf, Leaf):
            raise TypeError(f"{path} is not a leaf")
        made = bool(self.new) and self.new[-1].path == path
        if TaskPath(path) not in self.rows and not made:
            after = tuple(TaskPath(f"{place.prefix}{name}") for name in step.upstream)
            self.new.append(NewTask(path=TaskPath(path), step=step, leaf=leaf, after=after))
        return leaf

    def _waits(self, path: str) -> bool:
        row = self.rows.get(TaskPath(path))
        return row is None or row.state is TaskState.WAITING

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise TooLarge


def _verdict(step: Step, place: _Place) -> tuple[bool, _Skip | None]:
    """Whether a step has to wait, or why it will never run; (False, None) means that its turn has come."""
    before = [(name, place.scope.results[name].state) for name in step.upstream]
    blocked = [(name, state) for name, state in before if state in _CAUSES]
    if blocked and not step.always:
        name, state = blocked[0]
        if place.stopping and state is TaskState.CANCELED:
            return False, _RUN_CANCELED
        return False, _Skip(cause=_CAUSES[state], reason=f"{name} is {state.value}")
    waiting = any(state not in FINAL_TASK_STATES for _, state in before)
    if place.stopping and (waiting or isinstance(step.component, Leaf)):
        return False, _RUN_CANCELED
    return waiting, None


def _awaited(step: Step, place: _Place) -> str:
    before = [name for name in step.upstream if place.scope.results[name].state not in FINAL_TASK_STATES]
    return f"waits for {', '.join(before)}"


def _ended(skip: _Skip) -> StepResult:
    canceled = skip.cause is Cause.RUN_CANCELED
    state = TaskState.CANCELED if canceled else TaskState.SKIPPED
    return StepResult(state=state, message=skip.reason, cause=skip.cause)


def _of_row(row: Row) -> StepResult:
    if row.state is not TaskState.SUCCEEDED:
        return StepResult(state=row.state, message=row.message)
    artifacts = {name: (artifact,) for name, artifact in row.outputs.artifacts.items()}
    outputs = Values(parameters=row.outputs.parameters, artifacts=artifacts)
    return StepResult(state=row.state, outputs=outputs)


def _words(error: UnresolvedInput | ExpressionFailed) -> str:
    if isinstance(error, UnresolvedInput):
        return f"input {error.input_name!r}: {error.rule}" if error.input_name else error.rule
    return f"its condition cannot be decided: {error}"


def _around(rows: Iterable[str]) -> Iterable[str]:
    """The paths of all DAG instances that have a row in them."""
    for path in rows:
        end = path.rfind(".")
        while end > 0:
            yield path[:end]
            end = path.rfind(".", 0, end)
