"""KFP's compiled IR to a `Pipeline`.

What is read: a root DAG of lightweight Python components with parameters, artifacts, dependencies, retries, environment
variables and resources, and the hints under `platforms.nodewise`. `cachingOptions`, display names, descriptions, images and
outputs of the whole pipeline are accepted and ignored. All other features of KFP are refused with their path in the IR.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from kfp.pipeline_spec import pipeline_spec_pb2 as pb

from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.ir.bindings import Scope, read_bindings
from nodewise.core.ir.components import NAME, Component, read_component, read_parameters
from nodewise.core.ir.graph import find_cycle, topological_order
from nodewise.core.ir.guard import at, check_json
from nodewise.core.ir.platforms import ExecutorHints, PlatformHints, read_platforms
from nodewise.core.ir.wire import parse, plain
from nodewise.core.model.ids import TaskPath
from nodewise.core.model.pipeline import FromTask, Pipeline, PipelineTask
from nodewise.core.model.quantities import LARGEST_AMOUNT
from nodewise.core.model.task import RetryPolicy, TaskSpec

SCHEMA_VERSION: Final = "2.1.0"
_TASKS: Final = "root.dag.tasks"
_MAX_RETRY_FACTOR: Final = 1000.0
_MAX_BACKOFF: Final = timedelta(days=365)
_Trigger = pb.PipelineTaskSpec.TriggerPolicy


def read_pipeline(
    ir: Mapping[str, object], platforms: Mapping[str, object] | None = None, *, max_tasks: int = 2000
) -> Pipeline:
    """Read a compiled pipeline. Pure: nothing in it is executed.

    Args:
        ir: the PipelineSpec as JSON (2.1.0), the first document of KFP's YAML.
        platforms: by platform name; the second document (`{"platforms": {...}}`) as a whole will do too.
        max_tasks: refuse more than that.

    Returns:
        The pipeline, its tasks in topological order (ties by name, so that equal IR gives equal order).

    Raises:
        UnsupportedFeature: legal IR that does not run here yet, with its path.
        InvalidPipeline: anything else that is wrong with it, whatever it is, with its path.
    """
    check_json(ir if isinstance(ir, dict) else dict(ir))
    spec = parse(dict(ir), pb.PipelineSpec(), path="")
    _check_header(spec, max_tasks)
    deployment = parse(plain(spec.deployment_spec), pb.PipelineDeploymentConfig(), path="deploymentSpec")
    hints = _hints(platforms or {}, frozenset(deployment.executors))
    components = _components(spec, deployment.executors)
    parameters = read_parameters(
        spec.root.input_definitions.parameters, path="root.inputDefinitions.parameters"
    )
    scope = Scope(parameters=parameters, components=components)
    return Pipeline(
        name=spec.pipeline_info.name,
        tasks=_ordered({name: _task(name, spec.root.dag.tasks[name], scope, hints) for name in components}),
        parameters=parameters,
        priority=hints.priority,
        deadline_seconds=hints.deadline_seconds,
        team=hints.team,
    )


def _check_header(spec: Any, max_tasks: int) -> None:
    if spec.schema_version != SCHEMA_VERSION:
        raise InvalidPipeline(
            "schemaVersion", f"must be {SCHEMA_VERSION}, is {spec.schema_version[:20] or 'absent'}"
        )
    if not 0 < len(spec.pipeline_info.name) <= 200:
        raise InvalidPipeline("pipelineInfo.name", "must be text of 1 to 200 characters")
    if not spec.root.HasField("dag") or not spec.root.dag.tasks:
        raise InvalidPipeline(_TASKS, "the pipeline has no tasks")
    if len(spec.root.dag.tasks) > max_tasks:
        raise InvalidPipeline(
            _TASKS, f"has {len(spec.root.dag.tasks)} tasks; at most {max_tasks} are allowed"
        )
    for name in sorted(spec.root.input_definitions.artifacts):
        raise UnsupportedFeature(
            at("root.inputDefinitions.artifacts", name),
            "an artifact as the pipeline's input",
            "name a registered data set, or load it inside a task",
        )
    _check_outputs(spec.root.dag.outputs)


def _check_outputs(outputs: Any) -> None:
    for name, output in sorted(outputs.parameters.items()):
        if output.HasField("value_from_oneof"):
            path = at(at("root.dag.outputs.parameters", name), "valueFromOneof")
            raise UnsupportedFeature(path, "OneOf", "give each branch its own output")
    for name, output in sorted(outputs.artifacts.items()):
        if len(output.artifact_selectors) > 1:
            path = at(at("root.dag.outputs.artifacts", name), "artifactSelectors")
            raise UnsupportedFeature(path, "OneOf", "give each branch its own output")


def _hints(platforms: Mapping[str, object], labels: frozenset[str]) -> PlatformHints:
    document = dict(platforms)
    check_json(document, root="platforms")
    inner = document.get("platforms")
    return read_platforms(inner if isinstance(inner, dict) else document, labels=labels)


def _components(spec: Any, executors: Mapping[str, Any]) -> dict[str, Component]:
    """The component of each task, by task name, sorted; a component that several tasks use is read once."""
    read: dict[str, Component] = {}
    components = {}
    for name in sorted(spec.root.dag.tasks):
        task, path = spec.root.dag.tasks[name], at(_TASKS, name)
        _check_task(name, task, path)
        reference = task.component_ref.name
        if reference not in spec.components:
            raise InvalidPipeline(at(path, "componentRef.name"), f"no component named {reference[:80]!r}")
        if reference not in read:
            message = spec.components[reference]
            read[reference] = read_component(message, executors, path=at("components", reference))
        components[name] = read[reference]
    return components


def _check_task(name: str, task: Any, path: str) -> None:
    if NAME.fullmatch(name) is None:
        raise InvalidPipeline(path, "a task's name is 1 to 128 letters, digits, _ and -")
    iterator = task.WhichOneof("iterator")
    if iterator:
        key = "parameterIterator" if iterator == "parameter_iterator" else "artifactIterator"
        raise UnsupportedFeature(at(path, key), "a loop (ParallelFor)", "write one task for each item")
    if task.trigger_policy.condition:
        raise UnsupportedFeature(
            at(path, "triggerPolicy.condition"), "a condition (If, Elif, Else)", "decide inside the task"
        )
    if task.trigger_policy.strategy == _Trigger.ALL_UPSTREAM_TASKS_COMPLETED:
        raise UnsupportedFeature(
            at(path, "triggerPolicy.strategy"),
            "an exit handler or ignoring an upstream failure",
            "leave it out",
        )


def _task(name: str, message: Any, scope: Scope, hints: PlatformHints) -> PipelineTask:
    path = at(_TASKS, name)
    component = scope.components[name]
    bindings = read_bindings(message.inputs, component, scope, path=at(path, "inputs"))
    producers = [*bindings.parameters.values(), *bindings.artifacts.values()]
    upstream = {source.task for source in producers if isinstance(source, FromTask)}
    upstream.update(_dependencies(message.dependent_tasks, scope, at(path, "dependentTasks")))
    spec = _spec(name, component, hints.of(component.label))
    return PipelineTask(
        spec=replace(
            spec,
            upstream=tuple(sorted(upstream)),
            retry=_retry(message.retry_policy, at(path, "retryPolicy")),
        ),
        code=component.code,
        input_parameters=component.input_parameters,
        input_artifacts=component.input_artifacts,
        output_parameters=component.output_parameters,
        output_artifacts=component.output_artifacts,
        parameter_sources=bindings.parameters,
        artifact_sources=bindings.artifacts,
        memory_limit_mib=component.memory_limit_mib,
    )


def _dependencies(names: Sequence[str], scope: Scope, path: str) -> list[TaskPath]:
    for index, name in enumerate(names):
        if name not in scope.components:
            raise InvalidPipeline(at(path, index), f"no task named {name[:80]!r}")
    return [TaskPath(name) for name in names]


def _spec(name: str, component: Component, hints: ExecutorHints) -> TaskSpec:
    function = component.code.function
    spec = TaskSpec(
        path=TaskPath(name),
        component=function,
        kind=hints.kind,
        task_class=hints.task_class or f"{hints.kind}/{hints.model.type if hints.model else function}",
        resources=component.resources,
        dataset=hints.dataset,
        model=hints.model,
        requirements=replace(
            hints.requirements, accelerator=hints.requirements.accelerator or component.accelerator
        ),
        preferences=hints.preferences,
        timeout=hints.timeout,
    )
    if effective_resources(spec).memory_mib > LARGEST_AMOUNT:
        path = at("platforms.nodewise.deploymentSpec.executors", component.label)
        raise InvalidPipeline(at(path, "dataset"), "is larger than any machine's memory")
    return spec


def _retry(message: Any, path: str) -> RetryPolicy:
    if message.max_retry_count < 0:
        raise InvalidPipeline(at(path, "maxRetryCount"), "must not be negative")
    factor = message.backoff_factor or 2.0
    if not 0 < factor <= _MAX_RETRY_FACTOR:
        raise InvalidPipeline(at(path, "backoffFactor"), f"must be from 0 to {_MAX_RETRY_FACTOR:.0f}")
    longest = _duration(message.backoff_max_duration, at(path, "backoffMaxDuration"))
    return RetryPolicy(
        max_retries=message.max_retry_count,
        backoff=_duration(message.backoff_duration, at(path, "backoffDuration")),
        factor=factor,
        max_backoff=longest or timedelta(hours=1),
    )


def _duration(message: Any, path: str) -> timedelta:
    duration = timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    if not timedelta(0) <= duration <= _MAX_BACKOFF:
        raise InvalidPipeline(path, f"must be from 0 to {_MAX_BACKOFF.days} days")
    return duration


def _ordered(tasks: Mapping[str, PipelineTask]) -> dict[TaskPath, PipelineTask]:
    upstream = {name: task.spec.upstream for name, task in tasks.items()}
    order = topological_order(upstream)
    if len(order) < len(tasks):
        cycle = find_cycle(upstream, order)
        shown = " needs ".join(cycle[:20]) + (" ..." if len(cycle) > 20 else "")
        raise InvalidPipeline(_TASKS, f"the tasks form a cycle: {shown}")
    return {TaskPath(name): tasks[name] for name in order}
