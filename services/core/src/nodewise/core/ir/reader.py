"""KFP's compiled IR to a `Program`: everything KFP's own backend runs, and loops over artifacts.

What is wrong is refused here, before anything ran, with its path in the IR; so is a pipeline that could grow beyond all bounds: one
that contains itself, or whose sub-pipelines and loops over constants come to too many tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from nodewise.core.errors import InvalidPipeline, UnsupportedFeature
from nodewise.core.ir.bindings import (
    StepInputs,
    Surroundings,
    check_condition,
    read_inputs,
)
from nodewise.core.ir.graph import find_cycle, topological_order
from nodewise.core.ir.guard import at, check_json
from nodewise.core.ir.leaves import read_work
from nodewise.core.ir.messages import pb
from nodewise.core.ir.outputs import read_outputs
from nodewise.core.ir.platforms import PlatformHints, read_platforms
from nodewise.core.ir.rules import read_loop, read_retry
from nodewise.core.ir.signatures import check_name, read_signature
from nodewise.core.ir.tally import check_tally, too_many
from nodewise.core.ir.tree import (
    ArtifactLoop,
    CachePolicy,
    Component,
    Dag,
    FinalStatus,
    FromStep,
    Leaf,
    ParameterLoop,
    Program,
    Step,
)
from nodewise.core.ir.wire import parse, plain

SCHEMA_VERSION: Final = "2.1.0"
MAX_INSTANCES: Final = 20_000
MAX_NESTING: Final = 40
_ROOT: Final = "root"
_EXIT_HANDLER: Final = "comp-exit-handler-"
_Trigger = pb.PipelineTaskSpec.TriggerPolicy


def read_program(
    ir: Mapping[str, object],
    platforms: Mapping[str, object] | None = None,
    *,
    max_instances: int = MAX_INSTANCES,
) -> Program:
    """Read a compiled pipeline. Pure: nothing in it is executed.

    Args:
        ir: the PipelineSpec as JSON (2.1.0), the first document of KFP's YAML.
        platforms: by platform name; the second document (`{"platforms": {...}}`) as a whole will do too.
        max_instances: how many tasks, DAGs and iterations a run of it may ever have.

    Raises:
        UnsupportedFeature: legal IR that does not run here, with its path and what to do instead.
        InvalidPipeline: anything else that is wrong with it, with its path.
    """
    document = ir if isinstance(ir, dict) else dict(ir)
    check_tally(document, max_instances)
    check_json(document)
    spec = parse(document, pb.PipelineSpec(), path="")
    _check_header(spec)
    deployment = parse(plain(spec.deployment_spec), pb.PipelineDeploymentConfig(), path="deploymentSpec")
    hints = _hints(platforms or {}, frozenset(deployment.executors))
    reader = _Reader(
        spec=spec,
        executors=deployment.executors,
        hints=hints,
        channels=_channels(spec),
        limit=max_instances,
    )
    return Program(
        name=spec.pipeline_info.name,
        root=reader.root(),
        max_instances=max_instances,
        priority=hints.priority,
        deadline_seconds=hints.deadline_seconds,
        team=hints.team,
    )


def _check_header(spec: Any) -> None:
    if spec.schema_version != SCHEMA_VERSION:
        found = spec.schema_version[:20] or "absent"
        raise InvalidPipeline("schemaVersion", f"must be {SCHEMA_VERSION}, is {found}")
    if not 0 < len(spec.pipeline_info.name) <= 200:
        raise InvalidPipeline("pipelineInfo.name", "must be text of 1 to 200 characters")
    if not spec.root.HasField("dag") or not spec.root.dag.tasks:
        raise InvalidPipeline("root.dag.tasks", "the pipeline has no tasks")


def _hints(platforms: Mapping[str, object], labels: frozenset[str]) -> PlatformHints:
    document = dict(platforms)
    check_json(document, root="platforms")
    inner = document.get("platforms")
    return read_platforms(inner if isinstance(inner, dict) else document, labels=labels)


def _channels(spec: Any) -> dict[str, frozenset[str]]:
    """The inputs that tasks give to each component, whether it declares them or not: placeholders may refer to all of them."""
    found: dict[str, set[str]] = {}
    for component in (spec.root, *spec.components.values()):
        for task in component.dag.tasks.values():
            found.setdefault(task.component_ref.name, set()).update(task.inputs.parameters)
    return {name: frozenset(names) for name, names in found.items()}


@dataclass(slots=True, kw_only=True)
class _Reader:
    """One reading: components are read once each, depth first."""

    spec: Any
    executors: Mapping[str, Any]
    hints: PlatformHints
    channels: Mapping[str, frozenset[str]]
    limit: int
    read: dict[str, Component] = field(default_factory=dict)
    around: list[str] = field(default_factory=list)

    def root(self) -> Dag:
        signature = read_signature(self.spec.root, path=_ROOT)
        for name, artifact in signature.input_artifacts.items():
            if not artifact.optional:
                raise UnsupportedFeature(
                    at("root.inputDefinitions.artifacts", name),
                    "an artifact as the pipeline's input",
                    "import it inside the pipeline (dsl.importer)",
                )
        return self._dag(_ROOT, self.spec.root, path=_ROOT)

    def _component(self, name: str, path: str) -> Component:
        if name not in self.spec.components:
            raise InvalidPipeline(path, f"no component named {name[:80]!r}")
        if name in self.around:
            cycle = [*self.around[self.around.index(name) :], name]
            raise InvalidPipeline(path, f"the component contains itself: {' in '.join(cycle[:9])[:300]}")
        if name not in self.read:
            self.around.append(name)
            self.read[name] = self._read(name, path)
            self.around.pop()
        return self.read[name]

    def _read(self, name: str, path: str) -> Component:
        if len(self.around) > MAX_NESTING:
            raise InvalidPipeline(path, f"pipelines are nested more than {MAX_NESTING} deep")
        message, own_path = self.spec.components[name], at("components", name)
        if message.HasField("dag"):
            return self._dag(name, message, path=own_path)
        return self._leaf(name, message, path=own_path)

    def _leaf(self, name: str, message: Any, *, path: str) -> Leaf:
        label = message.executor_label
        if label not in self.executors:
            raise InvalidPipeline(at(path, "executorLabel"), f"no executor named {label[:80]!r}")
        signature = read_signature(message, path=path)
        work = read_work(
            self.executors[label],
            signature,
            channels=self.channels.get(name, frozenset()),
            path=at("deploymentSpec.executors", label),
        )
        leaf = Leaf(name=name, label=label, signature=signature, work=work, hints=self.hints.of(label))
        return self._named(leaf, path=path)

    def _named(self, leaf: Leaf, *, path: str) -> Leaf:
        """With the name of the component that this one is a copy of: KFP's compiler makes one for each call after the first."""
        first_name, _, count = leaf.name.rpartition("-")
        components = self.spec.components
        if (
            count.isdecimal()
            and first_name in components
            and components[first_name].HasField("executor_label")
        ):
            first = self._component(first_name, path)
            if isinstance(first, Leaf) and leaf.is_copy_of(first):
                return replace(leaf, component=first.component)
        return leaf

    def _dag(self, name: str, message: Any, *, path: str) -> Dag:
        signature = read_signature(message, path=path)
        tasks, tasks_path = message.dag.tasks, at(path, "dag.tasks")
        components = {
            task: self._component(
                tasks[check_name(task, at(tasks_path, task))].component_ref.name,
                at(tasks_path, f"{task}.componentRef.name"),
            )
            for task in sorted(tasks)
        }
        around = Surroundings(
            inputs=signature,
            components=components,
            loops=frozenset(task for task in tasks if tasks[task].WhichOneof("iterator")),
            inner=name != _ROOT,
        )
        steps = {task: _step(task, tasks[task], around, path=at(tasks_path, task)) for task in components}
        outputs = read_outputs(message.dag.outputs, signature, around, path=at(path, "dag.outputs"))
        return Dag(
            name=name,
            signature=signature,
            steps=_ordered(steps, tasks_path),
            output_parameters=outputs.parameters,
            output_artifacts=outputs.artifacts,
            size=self._size(steps, tasks_path),
        )

    def _size(self, steps: Mapping[str, Step], path: str) -> int:
        total = 0
        for name, step in steps.items():
            once = 1 + (step.component.size if isinstance(step.component, Dag) else 0)
            items = step.loop.items if isinstance(step.loop, ParameterLoop) else None
            total += once if items is None else 1 + once * len(items)
            if total > self.limit:
                raise too_many(at(path, name), self.limit)
        return total


def _step(name: str, message: Any, around: Surroundings, *, path: str) -> Step:
    component = around.components[name]
    loop = read_loop(message, path=path)
    given = frozenset() if loop is None else frozenset({loop.item_input})
    inputs = read_inputs(message.inputs, component, around, given=given, path=at(path, "inputs"))
    _check_items(loop, inputs, path)
    condition_path = at(path, "triggerPolicy.condition")
    upstream = _upstream(message.dependent_tasks, inputs, around, path=path)
    always = message.trigger_policy.strategy == _Trigger.ALL_UPSTREAM_TASKS_COMPLETED
    if message.iterator_policy.parallelism_limit < 0:
        raise InvalidPipeline(at(path, "iteratorPolicy.parallelismLimit"), "must not be negative")
    return Step(
        name=name,
        component=component,
        display_name=message.task_info.name,
        upstream=upstream,
        parameters=inputs.parameters,
        artifacts=inputs.artifacts,
        condition=check_condition(message.trigger_policy.condition, inputs, given=given, path=condition_path),
        always=always,
        finaliser=always and _is_finaliser(inputs, upstream, around),
        loop=loop,
        parallelism=message.iterator_policy.parallelism_limit,
        retry=read_retry(message.retry_policy, path=at(path, "retryPolicy")),
        cache=CachePolicy(
            enabled=message.caching_options.enable_cache, key=message.caching_options.cache_key
        ),
    )


def _check_items(loop: ParameterLoop | ArtifactLoop | None, inputs: StepInputs, path: str) -> None:
    if isinstance(loop, ArtifactLoop) and loop.items_input not in inputs.artifacts:
        raise InvalidPipeline(
            at(path, "artifactIterator.items.inputArtifact"), "must be an input artifact of the task"
        )
    if isinstance(loop, ParameterLoop) and loop.items is None and loop.items_input not in inputs.parameters:
        raise InvalidPipeline(
            at(path, "parameterIterator.items.inputParameter"), "must be an input parameter of the task"
        )


def _upstream(
    dependent: Sequence[str], inputs: StepInputs, around: Surroundings, *, path: str
) -> tuple[str, ...]:
    for index, name in enumerate(dependent):
        if name not in around.components:
            raise InvalidPipeline(at(at(path, "dependentTasks"), index), f"no task named {name[:80]!r}")
    sources = [*(binding.source for binding in inputs.parameters.values()), *inputs.artifacts.values()]
    producers = {source.step for source in sources if isinstance(source, FromStep | FinalStatus)}
    return tuple(sorted(producers | set(dependent)))


def _is_finaliser(inputs: StepInputs, upstream: Sequence[str], around: Surroundings) -> bool:
    """Whether it is an exit task. KFP compiles `ignore_upstream_failure` alike, but for the final status and the DAG before it."""
    if any(isinstance(binding.source, FinalStatus) for binding in inputs.parameters.values()):
        return True
    return len(upstream) == 1 and around.components[upstream[0]].name.startswith(_EXIT_HANDLER)


def _ordered(steps: Mapping[str, Step], path: str) -> tuple[Step, ...]:
    upstream = {name: step.upstream for name, step in steps.items()}
    order = topological_order(upstream)
    if len(order) < len(steps):
        cycle = find_cycle(upstream, order)
        shown = " needs ".join(cycle[:20]) + (" ..." if len(cycle) > 20 else "")
        raise InvalidPipeline(path, f"the tasks form a cycle: {shown}")
    return tuple(steps[name] for name in order)
