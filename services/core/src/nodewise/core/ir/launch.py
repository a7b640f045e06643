"""What an attempt at a task is started with: words, variables, resources, and KFP's executor input."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from nodewise.core.errors import InvalidPipeline, UnresolvedInput
from nodewise.core.ir.amounts import Quantities
from nodewise.core.ir.placeholders import (
    Fact,
    Part,
    Reference,
    Resolver,
    expand_text,
    render,
)
from nodewise.core.ir.rows import RunFacts
from nodewise.core.ir.tree import Leaf
from nodewise.core.model.artifact import ArtifactRef, Values
from nodewise.core.model.component import (
    ContainerWork,
    ImportWork,
    PythonWork,
    ResourceTexts,
    ValueKind,
)
from nodewise.core.model.resources import Resources

_VERSION: Final = "0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Locations:
    """Where an attempt finds and leaves things on its node, by input or output name."""

    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    output_parameters: Mapping[str, str] = field(default_factory=dict)
    output_artifacts: Mapping[str, str] = field(default_factory=dict)
    output_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What is booked for an attempt, and what its process may use. As everywhere, None is the node's own."""

    resources: Resources
    accelerator: str | None = None
    memory_limit_mib: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """All of an attempt that placeholders decide. `command` and `args` are empty for a Python component: its function is called."""

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    environment: Mapping[str, str]
    executor_input: Mapping[str, object]


def needs(leaf: Leaf, inputs: Values, *, path: str) -> Needs:
    """What a task needs of its node. Limits may come from parameters, so this is known only once it is ready.

    Raises:
        UnresolvedInput: an amount that is none.
    """
    if isinstance(leaf.work, ImportWork):
        return Needs(resources=Resources())
    texts = _filled(leaf.work.resources, values_only(inputs))
    quantities = Quantities(texts, f"deploymentSpec.executors.{leaf.label}.container.resources")
    try:
        return Needs(
            resources=quantities.booked(),
            accelerator=quantities.accelerator(),
            memory_limit_mib=quantities.memory_limit_mib(),
        )
    except InvalidPipeline as error:
        raise UnresolvedInput(path, error.path.rsplit(".", 1)[-1], error.rule) from error


def _filled(texts: ResourceTexts, resolve: Resolver) -> ResourceTexts:
    accelerator = texts.accelerator
    return replace(
        texts,
        resource_cpu_limit=expand_text(texts.resource_cpu_limit, resolve),
        resource_memory_limit=expand_text(texts.resource_memory_limit, resolve),
        resource_cpu_request=expand_text(texts.resource_cpu_request, resolve),
        resource_memory_request=expand_text(texts.resource_memory_request, resolve),
        accelerator=replace(
            accelerator,
            type=expand_text(accelerator.type, resolve),
            resource_type=expand_text(accelerator.resource_type, resolve),
            resource_count=expand_text(accelerator.resource_count, resolve),
        ),
    )


def values_only(inputs: Values) -> Resolver:
    """Puts parameters in the place of placeholders, and nothing for what is missing."""

    def resolve(reference: Reference) -> object:
        value = inputs.parameters.get(reference.name) if reference.part is Part.INPUT_PARAMETER else None
        return "" if value is None else value

    return resolve


def launch(leaf: Leaf, inputs: Values, locations: Locations, *, path: str, facts: RunFacts) -> Launch:
    """Fill in the placeholders of a leaf's container.

    Args:
        leaf: a Python or container component.
        inputs: of the task.
        locations: on the node.
        path: of the task.
        facts: of the run.

    Raises:
        UnresolvedInput: a placeholder for an optional input that was not given, outside of an IfPresent.
        TypeError: an importer, which is not launched.
    """
    work = leaf.work
    if isinstance(work, ImportWork):
        raise TypeError(f"{path} is an importer")
    executor_input = build_executor_input(leaf, inputs, locations)
    context = _Context(
        inputs=inputs, locations=locations, facts=facts.of_task(path), whole=executor_input, path=path
    )
    environment = {name: expand_text(text, context.resolve) for name, text in work.environment.items()}
    return Launch(
        image=expand_text(work.image, context.resolve),
        command=context.words(work, "command"),
        args=context.words(work, "args"),
        environment=environment,
        executor_input=executor_input,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    inputs: Values
    locations: Locations
    facts: Mapping[Fact, str]
    whole: Mapping[str, object]
    path: str

    def words(self, work: PythonWork | ContainerWork, which: str) -> tuple[str, ...]:
        if not isinstance(work, ContainerWork):
            return ()
        arguments = work.command if which == "command" else work.args
        return tuple(
            word for argument in arguments for word in render(argument, self.resolve, present=self.present)
        )

    def present(self, name: str) -> bool:
        return name in self.inputs.parameters or name in self.inputs.artifacts

    def resolve(self, reference: Reference) -> object:
        if isinstance(reference.part, Fact):
            return self.facts[reference.part]
        if reference.part is Part.EXECUTOR_INPUT:
            return json.dumps(self.whole)
        if reference.part in (Part.INPUT_PARAMETER, Part.INPUT_ARTIFACT):
            return self._of_input(reference)
        return self._of_output(reference)

    def _of_output(self, reference: Reference) -> str:
        name = reference.name
        if reference.part is Part.OUTPUT_FILE:
            return self.locations.output_file
        if reference.part is Part.OUTPUT_PARAMETER:
            return self.locations.output_parameters.get(name, "")
        return name if reference.field == "name" else self.locations.output_artifacts.get(name, "")

    def _of_input(self, reference: Reference) -> object:
        if not self.present(reference.name):
            rule = "a placeholder needs it, but it was not given"
            raise UnresolvedInput(self.path, reference.name, rule)
        if reference.part is Part.INPUT_PARAMETER:
            return self.inputs.parameters[reference.name]
        return self._of_artifact(reference)

    def _of_artifact(self, reference: Reference) -> object:
        artifact = next(iter(self.inputs.artifacts[reference.name]), None)
        if artifact is None:
            raise UnresolvedInput(self.path, reference.name, "a placeholder needs it, but the list is empty")
        if reference.field == "name":
            return artifact.name
        if reference.field == "metadata":
            metadata = dict(artifact.metadata)
            return metadata.get(reference.item, "") if reference.item else metadata
        places = self.locations.inputs.get(reference.name, ())
        return places[0] if places else artifact.uri


def build_executor_input(leaf: Leaf, inputs: Values, locations: Locations) -> dict[str, object]:
    """KFP's `ExecutorInput` as JSON, with places on the node as addresses; only what the component declares is in it."""
    signature = leaf.signature
    parameters = {
        name: value for name, value in inputs.parameters.items() if name in signature.input_parameters
    }
    parameters.update(_task_configs(leaf, inputs))
    return {
        "inputs": {
            "parameterValues": parameters,
            "artifacts": {
                name: {"artifacts": _artifacts(items, locations.inputs.get(name, ()))}
                for name, items in inputs.artifacts.items()
            },
        },
        "outputs": {
            "parameters": {
                name: {"outputFile": place} for name, place in locations.output_parameters.items()
            },
            "artifacts": {
                name: {"artifacts": [_output(name, artifact.schema_title, locations)]}
                for name, artifact in signature.output_artifacts.items()
            },
            "outputFile": locations.output_file,
        },
    }


def _artifacts(items: tuple[ArtifactRef, ...], places: tuple[str, ...]) -> list[dict[str, object]]:
    return [
        {
            "name": item.name,
            "type": {"schemaTitle": item.schema_title, "schemaVersion": _VERSION},
            "uri": places[index] if index < len(places) else item.uri,
            "metadata": dict(item.metadata),
        }
        for index, item in enumerate(items)
    ]


def _output(name: str, schema_title: str, locations: Locations) -> dict[str, object]:
    return {
        "name": name,
        "type": {"schemaTitle": schema_title, "schemaVersion": _VERSION},
        "uri": locations.output_artifacts.get(name, ""),
        "metadata": {},
    }


def _task_configs(leaf: Leaf, inputs: Values) -> dict[str, object]:
    """KFP hands a task its own settings where it asks for them; of these a node without Kubernetes has two."""
    names = [
        name
        for name, parameter in leaf.signature.input_parameters.items()
        if parameter.kind is ValueKind.TASK_CONFIG
    ]
    if not names or isinstance(leaf.work, ImportWork):
        return {}
    resolve = values_only(inputs)
    texts = _filled(leaf.work.resources, resolve)
    environment = [
        {"name": name, "value": expand_text(text, resolve)} for name, text in leaf.work.environment.items()
    ]
    limits = {"cpu": texts.resource_cpu_limit, "memory": texts.resource_memory_limit}
    requests = {"cpu": texts.resource_cpu_request, "memory": texts.resource_memory_request}
    config = {
        "env": environment,
        "resources": {
            "limits": {name: amount for name, amount in limits.items() if amount},
            "requests": {name: amount for name, amount in requests.items() if amount},
        },
    }
    return dict.fromkeys(names, config)
