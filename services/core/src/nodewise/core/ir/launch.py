"""What an attempt at a task is started with: words, variables, resources, and KFP's executor input."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from nodewise.core.errors import UnresolvedInput
from nodewise.core.ir.needs import filled, values_only
from nodewise.core.ir.placeholders import Fact, Part, Reference, expand_text, render
from nodewise.core.model.artifact import ArtifactRef, Values
from nodewise.core.model.component import ContainerWork, PythonWork, ValueKind
from nodewise.core.model.job import Job

_VERSION: Final = "0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Locations:
    """Where an attempt finds and leaves things on its node, by input or output name."""

    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    output_parameters: Mapping[str, str] = field(default_factory=dict)
    output_artifacts: Mapping[str, str] = field(default_factory=dict)
    output_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """All of an attempt that placeholders decide. `command` and `args` are empty for a Python component: its function is called."""

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    environment: Mapping[str, str]
    executor_input: Mapping[str, object]


def launch(job: Job, locations: Locations) -> Launch:
    """Fill in the placeholders of a job.

    Args:
        job: of a Python or container component.
        locations: on the node.

    Raises:
        UnresolvedInput: a placeholder for an optional input that was not given, outside of an IfPresent.
    """
    work = job.work
    executor_input = build_executor_input(job, locations)
    context = _Context(
        inputs=job.inputs, locations=locations, facts=job.facts, whole=executor_input, path=job.key.path
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
    facts: Mapping[str, str]
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


def build_executor_input(job: Job, locations: Locations) -> dict[str, object]:
    """KFP's `ExecutorInput` as JSON, with places on the node as addresses; only what the component declares is in it."""
    signature, inputs = job.signature, job.inputs
    parameters = {
        name: value for name, value in inputs.parameters.items() if name in signature.input_parameters
    }
    parameters.update(_task_configs(job))
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


def _task_configs(job: Job) -> dict[str, object]:
    """KFP hands a task its own settings where it asks for them; of these a node without Kubernetes has two."""
    names = [
        name
        for name, parameter in job.signature.input_parameters.items()
        if parameter.kind is ValueKind.TASK_CONFIG
    ]
    if not names:
        return {}
    values = values_only(job.inputs)
    texts = filled(job.work.resources, values)

    def resolve(reference: Reference) -> object:
        return job.facts[reference.part] if isinstance(reference.part, Fact) else values(reference)

    environment = [
        {"name": name, "value": expand_text(text, resolve)} for name, text in job.work.environment.items()
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
