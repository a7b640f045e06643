"""What happens next in a run, and what a task's attempt is given. Pure: states in, moves out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from nodewise.core.errors import UnresolvedInput
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.ir.parameters import coerce
from nodewise.core.ir.templates import as_text, expand
from nodewise.core.lifecycle import FINAL_TASK_STATES, RunState, TaskState
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.ids import AttemptKey, TaskPath
from nodewise.core.model.job import Job
from nodewise.core.model.pipeline import (
    FromConstant,
    FromRun,
    FromTask,
    ParameterSource,
    ParameterSpec,
    ParameterType,
    Pipeline,
    PipelineTask,
)

_BLOCKS: Final = FINAL_TASK_STATES - {TaskState.SUCCEEDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """What may move now: WAITING tasks whose inputs are there, WAITING tasks that never can run, and the run's end."""

    ready: tuple[TaskPath, ...] = ()
    skipped: tuple[TaskPath, ...] = ()
    outcome: RunState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedInputs:
    """The values and artifacts that an attempt is started with, by input name."""

    parameters: Mapping[str, object] = field(default_factory=dict)
    artifacts: Mapping[str, ArtifactRef] = field(default_factory=dict)


def advance(pipeline: Pipeline, states: Mapping[TaskPath, TaskState]) -> Advance:
    """What follows from the states of a run's tasks. O(tasks + edges); applying it and asking again gives nothing new.

    A task is ready when all its upstream SUCCEEDED. It is skipped when an upstream FAILED, was SKIPPED or CANCELED, and so
    is, in the same call, all that depends on it; other branches go on.

    Args:
        pipeline: the run's pipeline.
        states: of its tasks; a task that is absent is WAITING.

    Returns:
        Tasks in topological order. `outcome` counts the skipped tasks as moved: None while any task may still
        move, else FAILED if one failed, else CANCELED if one was canceled, else SUCCEEDED.
    """
    after = {path: states.get(path, TaskState.WAITING) for path in pipeline.tasks}
    ready, skipped = [], []
    for path, task in pipeline.tasks.items():
        if after[path] is not TaskState.WAITING:
            continue
        upstream = [after[name] for name in task.spec.upstream]
        if any(state in _BLOCKS for state in upstream):
            after[path] = TaskState.SKIPPED
            skipped.append(path)
        elif all(state is TaskState.SUCCEEDED for state in upstream):
            ready.append(path)
    return Advance(ready=tuple(ready), skipped=tuple(skipped), outcome=_outcome(set(after.values())))


def _outcome(states: set[TaskState]) -> RunState | None:
    if not states <= FINAL_TASK_STATES:
        return None
    if TaskState.FAILED in states:
        return RunState.FAILED
    # A skip without a failure has a cancellation, or a row that only this function could have written, before it.
    if states & {TaskState.CANCELED, TaskState.SKIPPED}:
        return RunState.CANCELED
    return RunState.SUCCEEDED


def resolve_inputs(
    task: PipelineTask, parameters: Mapping[str, object], outputs: Mapping[TaskPath, TaskOutputs]
) -> ResolvedInputs:
    """Give every input of a task its value.

    A value of None is dropped, and then the component's default applies, and then the function's own.

    Args:
        task: whose upstream have all SUCCEEDED.
        parameters: of the run, bound.
        outputs: of the finished tasks.

    Raises:
        UnresolvedInput: an upstream did not leave a required output, or left a value of another type.
    """
    raw = {name: _value(source, parameters, outputs) for name, source in task.parameter_sources.items()}
    values = {name: _expanded(task.parameter_sources[name], value, raw) for name, value in raw.items()}
    resolved = {
        name: value
        for name, spec in task.input_parameters.items()
        if (value := _typed(task, name, spec, values.get(name))) is not None
    }
    return ResolvedInputs(parameters=resolved, artifacts=_artifacts(task, outputs))


def _value(
    source: ParameterSource, parameters: Mapping[str, object], outputs: Mapping[TaskPath, TaskOutputs]
) -> object:
    if isinstance(source, FromConstant):
        return source.value
    if isinstance(source, FromRun):
        return parameters.get(source.parameter)
    left = outputs.get(source.task)
    return left.parameters.get(source.output) if left else None


def _expanded(source: ParameterSource, value: object, raw: Mapping[str, object]) -> object:
    return expand(value, raw) if isinstance(source, FromConstant) else value


def _typed(task: PipelineTask, name: str, spec: ParameterSpec, value: object) -> object:
    if value is None:
        if not spec.optional and isinstance(task.parameter_sources.get(name), FromTask):
            raise UnresolvedInput(task.spec.path, name, "the upstream task left no value")
        return spec.default
    if spec.type is ParameterType.STRING:
        return as_text(value)
    try:
        return coerce(value, spec.type)
    except ValueError as error:
        raise UnresolvedInput(task.spec.path, name, f"{error} ({spec.type})") from error


def _artifacts(task: PipelineTask, outputs: Mapping[TaskPath, TaskOutputs]) -> dict[str, ArtifactRef]:
    found = {}
    for name, source in task.artifact_sources.items():
        left = outputs.get(source.task)
        artifact = left.artifacts.get(source.output) if left else None
        if artifact is not None:
            found[name] = artifact
        elif not task.input_artifacts[name].optional:
            raise UnresolvedInput(task.spec.path, name, f"task {source.task!r} left no {source.output!r}")
    return found


def build_job(
    task: PipelineTask,
    *,
    key: AttemptKey,
    run_name: str,
    parameters: Mapping[str, object],
    outputs: Mapping[TaskPath, TaskOutputs],
    dataset_uri: str | None = None,
) -> Job:
    """All that an agent needs for one attempt at a task.

    Args:
        task: whose upstream have all SUCCEEDED.
        key: of the attempt.
        run_name: for people.
        parameters: of the run, bound.
        outputs: of the finished tasks of the run.
        dataset_uri: where the registered data set is that the task named.

    Raises:
        UnresolvedInput: an upstream did not leave what is needed.
    """
    inputs = resolve_inputs(task, parameters, outputs)
    resources, limit = effective_resources(task.spec), task.memory_limit_mib
    return Job(
        key=key,
        run_name=run_name,
        component=task.spec.component,
        code=task.code,
        parameters=inputs.parameters,
        artifacts=inputs.artifacts,
        output_parameters=task.output_parameters,
        output_artifacts=task.output_artifacts,
        resources=resources,
        memory_limit_mib=None if limit is None else max(limit, resources.memory_mib),
        timeout=task.spec.timeout,
        dataset_uri=dataset_uri,
    )
