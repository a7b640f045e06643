"""Running a pipeline right here, one task after the other, in this process: for tests of a pipeline's wiring.

The pipeline is compiled and interpreted as it is on the agents engine; only the tasks are called as functions.
"""

import copy
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nodewise.core.ir import Advance, Row, RunFacts, Values, advance, applied, bind, read_program
from nodewise.core.ir.moves import ReadyTask
from nodewise.core.ir.tree import Leaf
from nodewise.core.lifecycle import RunState, TaskState
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.component import PythonWork
from nodewise.core.model.ids import TaskPath
from nodewise.sdk.compiled import compile_with_tasks
from nodewise.sdk.dsl.artifacts import ARTIFACTS, Artifact
from nodewise.sdk.dsl.errors import PipelineError
from nodewise.sdk.dsl.kfp_components import source_of
from nodewise.sdk.dsl.pipeline import Pipeline
from nodewise.sdk.dsl.signature import SINGLE_OUTPUT, Input
from nodewise.sdk.dsl.status import RunStatus
from nodewise.sdk.dsl.task import AnyTask

_KINDS = {f"system.{kind.__name__}": kind for kind in ARTIFACTS}


class LocalRun:
    """What a pipeline left that ran in this process. Its files live as long as this object.

    `outputs` are those of the tasks that ran, by path; `result` are the pipeline's own.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nodewise-"))
        self.outputs: dict[str, Mapping[str, Any]] = {}
        self.result: Mapping[str, Any] = {}
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def __getitem__(self, task: str) -> Mapping[str, Any]:
        """The outputs of a task that ran, by its path (`train`, a second call is `train-2`, in a loop `for-loop-1[0].train`)."""
        return self.outputs[task]

    def of(self, task: str) -> list[Mapping[str, Any]]:
        """The outputs of all tasks of that name, in the order in which they ran; of every iteration of a loop, for example."""
        return [outputs for path, outputs in self.outputs.items() if path.rpartition(".")[2] == task]

    @property
    def output(self) -> Any:
        """What the pipeline returns, if that is one value."""
        return self.result[SINGLE_OUTPUT]


def run_here(pipeline: Pipeline, parameters: Mapping[str, Any]) -> LocalRun:
    """Run a pipeline in this process. Hints, resources, retries and caching mean nothing here.

    Args:
        pipeline: whose tasks are Python functions.
        parameters: by name.

    Raises:
        PipelineError: it is written in a way that cannot run, or has a container task.
        Exception: what a task raised first, once exit tasks have run.
    """
    compiled, tasks = compile_with_tasks(pipeline)
    interpreter = _Interpreter(
        pipeline, {source_of(task): task for task in tasks if task.role.value == "task"}
    )
    program = read_program(compiled.pipeline_spec, compiled.platform_spec)
    given = bind(program, {name: value for name, value in parameters.items() if value is not None})
    rows: dict[TaskPath, Row] = {}
    while True:
        now = advance(
            program, given, rows, facts=RunFacts(name=pipeline.name, root=str(interpreter.run.folder))
        )
        rows = applied(rows, now)
        rows.update({task.path: interpreter.ended(task) for task in now.ready})
        if not now.moves:
            return interpreter.end(now, rows)


class _Interpreter:
    def __init__(self, pipeline: Pipeline, tasks: Mapping[str, AnyTask]) -> None:
        self.run = LocalRun()
        self._pipeline = pipeline
        self._tasks = tasks
        self._error: Exception | None = None

    def ended(self, ready: ReadyTask) -> Row:
        """Call a task; what became of it."""
        try:
            outputs = self._called(ready)
        except Exception as error:
            self._error = self._error or error
            return Row(state=TaskState.FAILED, message=f"{type(error).__name__}: {error}")
        return Row(state=TaskState.SUCCEEDED, outputs=outputs)

    def end(self, last: Advance, rows: Mapping[TaskPath, Row]) -> LocalRun:
        """The run, if it succeeded; else its first error."""
        if self._error is not None:
            raise self._error
        if last.outcome is not RunState.SUCCEEDED:
            failed = next(
                (row.message for row in rows.values() if row.state is TaskState.FAILED), last.reason
            )
            raise PipelineError(self._pipeline.place, f"pipeline {self._pipeline.name!r}: {failed}")
        self.run.result = _plain(last.outputs)
        return self.run

    def _called(self, ready: ReadyTask) -> TaskOutputs:
        task = self._task(ready.leaf)
        folder = self.run.folder / ready.path
        folder.mkdir(parents=True)
        written = {
            name: _artifact(ArtifactRef(name=name, uri=str(folder / name), schema_title=kind.schema_title))
            for name, kind in ready.leaf.signature.output_artifacts.items()
        }
        result = task.function(**{**_given(task, ready.inputs), **written})
        parameters = _returned(task, result)
        self.run.outputs[ready.path] = {**written, **parameters}
        titles = {name: kind.schema_title for name, kind in ready.leaf.signature.output_artifacts.items()}
        return TaskOutputs(
            parameters=parameters,
            artifacts={name: _ref(item, titles[name]) for name, item in written.items()},
        )

    def _task(self, leaf: Leaf) -> AnyTask:
        task = self._tasks.get(leaf.work.source) if isinstance(leaf.work, PythonWork) else None
        if task is None:
            raise PipelineError(
                self._pipeline.place, f"{leaf.name!r} is a container task: it does not run in this process"
            )
        return task


def _given(task: AnyTask, inputs: Values) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for item in task.signature.arguments:
        if not isinstance(item, Input):
            continue
        if item.name in inputs.artifacts:
            artifacts = [_artifact(ref) for ref in inputs.artifacts[item.name]]
            given[item.name] = artifacts if item.many else artifacts[0]
        elif inputs.parameters.get(item.name) is not None:
            value = inputs.parameters[item.name]
            given[item.name] = _status(value) if item.is_status else copy.deepcopy(value)
        elif item.optional:
            given[item.name] = item.default
    return given


def _status(value: Any) -> RunStatus:
    return RunStatus(
        state=value["state"],
        pipeline_job_resource_name=value["pipelineJobResourceName"],
        pipeline_task_name=value["pipelineTaskName"],
        error_code=value["error"].get("code"),
        error_message=value["error"].get("message"),
    )


def _returned(task: AnyTask, result: Any) -> dict[str, Any]:
    names = [output.name for output in task.signature.returned]
    if names == [SINGLE_OUTPUT]:
        return {SINGLE_OUTPUT: result}
    return dict(zip(names, result or (), strict=False))


def _artifact(ref: ArtifactRef) -> Artifact:
    kind = _KINDS.get(ref.schema_title, Artifact)
    return kind(name=ref.name, uri=ref.uri, metadata=copy.deepcopy(dict(ref.metadata)))


def _ref(item: Artifact, title: str) -> ArtifactRef:
    return ArtifactRef(name=item.name, uri=item.uri, schema_title=title, metadata=dict(item.metadata))


def _plain(outputs: Values) -> dict[str, Any]:
    return {
        **outputs.parameters,
        **{name: _many(refs) for name, refs in outputs.artifacts.items()},
    }


def _many(refs: Sequence[ArtifactRef]) -> Any:
    artifacts = [_artifact(ref) for ref in refs]
    return artifacts[0] if len(artifacts) == 1 else artifacts
