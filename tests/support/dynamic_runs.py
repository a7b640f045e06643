"""Runs of whole pipelines without any service: the interpreter, rows in a dictionary, and Python functions for components."""

import random
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from kfp import compiler, dsl

from nodewise.core.ir import Advance, Program, Row, RunFacts, Values, advance, applied, bind
from nodewise.core.ir.moves import ReadyTask
from nodewise.core.ir.tree import Leaf
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.component import PythonWork, ValueKind
from nodewise.core.model.ids import TaskPath

FACTS = RunFacts(name="job", run_id="r-1", root="store://", created="2026-01-01T00:00:00Z")
_ZEROS: Mapping[ValueKind, Any] = {
    ValueKind.STRING: "text",
    ValueKind.NUMBER_INTEGER: 1,
    ValueKind.NUMBER_DOUBLE: 0.5,
    ValueKind.BOOLEAN: True,
    ValueKind.LIST: [],
    ValueKind.STRUCT: {},
}


def compiled_documents(pipeline: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The IR and the platform document (empty without one) that KFP's compiler makes of a pipeline."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "pipeline.yaml")
        compiler.Compiler().compile(pipeline, str(path))
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    return documents[0], documents[1] if len(documents) > 1 else {}


@dataclass
class FakeRun:
    """One run, driven to its end.

    `failures` says how many first attempts fail, by task path. `order` chooses which live task ends next: the first without it.
    Nothing but the rows is kept between two looks, so every look is a restart. After `cancel_after` ends a user cancels.
    """

    program: Program
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    order: random.Random | None = None
    cancel_after: int | None = None
    rows: dict[TaskPath, Row] = field(default_factory=dict)
    ready: dict[TaskPath, ReadyTask] = field(default_factory=dict)
    seen: dict[str, Values] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    most_live: int = 0
    groups: dict[str, TaskState] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    canceling: bool = False

    def run(self, *, most_events: int = 100_000) -> Advance:
        """To the outcome; checks at each step that a second look finds nothing new."""
        self.parameters = bind(self.program, self.parameters)
        for _ in range(most_events):
            now = self.step()
            if now.outcome is not None:
                assert not self.ready, "a run ended while tasks were live"
                return now
            assert self.ready, f"nothing is live, nothing is over: {self.rows}"
            self.end_one()
        raise AssertionError("the run goes on and on")

    def look(self) -> Advance:
        return advance(self.program, self.parameters, dict(self.rows), facts=FACTS, canceling=self.canceling)

    def step(self) -> Advance:
        """Apply what follows now."""
        now = self.look()
        self.rows = applied(self.rows, now)
        again = self.look()
        assert not again.moves, f"a second look finds more: {again}"
        assert (again.outcome, again.outputs, again.groups) == (now.outcome, now.outputs, now.groups) or (
            now.moves
        )
        for task in now.ready:
            self.ready[task.path] = task
            self.seen[task.path] = task.inputs
            self.delays[task.path] = task.delay.total_seconds()
        self.most_live = max(self.most_live, len(self.ready))
        self.groups = {group.path: group.state for group in now.groups}
        return replace(now, outcome=again.outcome, outputs=again.outputs)

    def end_one(self) -> None:
        paths = sorted(self.ready)
        path = self.order.choice(paths) if self.order else paths[0]
        if self.cancel_after is not None and len(self.ended) >= self.cancel_after and not self.canceling:
            self.cancel()
            return
        row = self.rows[path]
        task = self.ready[path]
        if row.attempt <= self.failures.get(path, 0):
            self._fail(path, task, "made to fail")
            return
        try:
            outputs = task.imported or left_by(
                task.leaf, task.inputs, path=task.path, functions=self.functions
            )
        except Exception as error:
            self._fail(path, task, str(error))
            return
        self._end(path, Row(state=TaskState.SUCCEEDED, outputs=outputs, attempt=row.attempt))

    def cancel(self) -> None:
        """A user cancels: live tasks end CANCELED, but for exit tasks."""
        self.canceling = True
        for path in [path for path, task in self.ready.items() if not task.step.finaliser]:
            self._end(path, replace(self.rows[path], state=TaskState.CANCELED, message="canceled"))

    def _fail(self, path: TaskPath, task: ReadyTask, message: str) -> None:
        row = self.rows[path]
        if row.attempt <= task.step.retry.max_retries:
            self.rows[path] = replace(row, attempt=row.attempt + 1)
            return
        self._end(path, replace(row, state=TaskState.FAILED, message=message))

    def _end(self, path: TaskPath, row: Row) -> None:
        del self.ready[path]
        self.rows[path] = row
        self.ended.append(path)

    @property
    def states(self) -> dict[str, str]:
        return {path: row.state.value for path, row in sorted(self.rows.items())}

    def of_state(self, state: TaskState) -> set[str]:
        return {path for path, row in self.rows.items() if row.state is state}


def left_by(
    leaf: Leaf, inputs: Values, *, path: str, functions: Mapping[str, Callable[..., Any]]
) -> TaskOutputs:
    """What a task leaves: its function is called as it stands; without one, each parameter is the zero of its type."""
    signature = leaf.signature
    left = {
        name: SimpleNamespace(name=name, metadata={}, uri=f"store://{path}/{name}", path=f"/{name}")
        for name in signature.output_artifacts
    }
    parameters = _called(leaf, inputs, left, functions)
    artifacts = {
        name: ArtifactRef(
            name=name,
            uri=item.uri,
            schema_title=signature.output_artifacts[name].schema_title,
            metadata=item.metadata,
        )
        for name, item in left.items()
    }
    return TaskOutputs(parameters=parameters, artifacts=artifacts)


def _called(
    leaf: Leaf, inputs: Values, left: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]
) -> dict[str, Any]:
    declared = leaf.signature.output_parameters
    if not isinstance(leaf.work, PythonWork) or leaf.work.function not in functions:
        return {name: _ZEROS[parameter.kind] for name, parameter in declared.items()}
    result = functions[leaf.work.function](**_arguments(leaf, inputs), **left)
    if result is None:
        return {}
    if set(declared) == {"Output"}:
        return {"Output": result}
    values = {name: getattr(result, name, None) for name in declared}
    return {name: value for name, value in values.items() if value is not None}


def _arguments(leaf: Leaf, inputs: Values) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, parameter in leaf.signature.input_parameters.items():
        if parameter.kind is ValueKind.TASK_CONFIG:
            given[name] = dsl.TaskConfig()
        if name not in inputs.parameters:
            continue
        value: Any = inputs.parameters[name]
        given[name] = _status(value) if parameter.kind is ValueKind.TASK_FINAL_STATUS else value
    for name, artifact in leaf.signature.input_artifacts.items():
        if name in inputs.artifacts:
            items = list(inputs.artifacts[name])
            given[name] = items if artifact.is_list else items[0]
    return given


def _status(value: Mapping[str, Any]) -> dsl.PipelineTaskFinalStatus:
    return dsl.PipelineTaskFinalStatus(
        state=value["state"],
        pipeline_job_resource_name=value["pipelineJobResourceName"],
        pipeline_task_name=value["pipelineTaskName"],
        error_code=value["error"].get("code"),
        error_message=value["error"].get("message"),
    )
