"""A pipeline of mlopx as KFP's IR: a flat DAG of lightweight Python components."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nodewise.core.compat.mlopx.model import ArtifactKind, Use
from nodewise.core.model.component import Parameter

KFP: Final = "2.17.0"
_INSTALLS: Final = (
    "python3 -c 'import kfp' 2>/dev/null"
    f" || python3 -m pip install --quiet --no-warn-script-location 'kfp=={KFP}'\n"
)
"""Our nodes have kfp; an image on Kubernetes may not."""
_RUNS: Final = (
    "folder=$(mktemp -d)\n"
    'printf "%s" "$0" > "$folder/component.py"\n'
    'export _KFP_RUNTIME=true\nexec python3 -m kfp.dsl.executor_main --component_module_path "$folder/component.py" "$@"\n'
)
_VERSION: Final = "0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One task: its key in the DAG, the component, its module, and where each input artifact comes from (a key)."""

    key: str
    use: Use
    source: str
    producers: Mapping[str, str]


def pipeline_spec(name: str, steps: Sequence[Step]) -> dict[str, object]:
    """The PipelineSpec (2.1.0) as JSON."""
    return {
        "pipelineInfo": {"name": pipeline_name(name)},
        "schemaVersion": "2.1.0",
        "sdkVersion": f"kfp-{KFP}",
        "root": {"dag": {"tasks": {step.key: _task(step) for step in steps}}},
        "components": {f"comp-{step.key}": _component(step) for step in steps},
        "deploymentSpec": {"executors": {executor_label(step.key): _executor(step) for step in steps}},
    }


def pipeline_name(name: str) -> str:
    """The name as KFP wants it: lower-case letters, digits and dashes."""
    return key_of(name)[:128].strip("-") or "pipeline"


def key_of(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def executor_label(key: str) -> str:
    return f"exec-{key}"


def image(reference: str) -> str:
    """The image for any node: mlopx adds the platform as its tag when the node is known, and so do we."""
    tagged = ":" in reference.rpartition("/")[2] or "@" in reference
    return reference if tagged else f"{reference}:{{platform}}"


def _task(step: Step) -> dict[str, object]:
    parameters = {name: {"runtimeValue": {"constant": value}} for name, value in step.use.arguments.items()}
    artifacts = {
        name: {"taskOutputArtifact": {"producerTask": producer, "outputArtifactKey": name}}
        for name, producer in step.producers.items()
    }
    task: dict[str, object] = {
        "componentRef": {"name": f"comp-{step.key}"},
        "taskInfo": {"name": step.key},
        "cachingOptions": {},
    }
    inputs = {key: group for key, group in (("parameters", parameters), ("artifacts", artifacts)) if group}
    upstream = sorted(set(step.producers.values()))
    return {
        **task,
        **({"inputs": inputs} if inputs else {}),
        **({"dependentTasks": upstream} if upstream else {}),
    }


def _component(step: Step) -> dict[str, object]:
    component = step.use.component
    inputs = _definitions({n: _parameter(p) for n, p in component.parameters.items()}, component.inputs)
    returned = {"Output": {"parameterType": component.returns.value}} if component.returns else {}
    outputs = _definitions(returned, component.outputs)
    made: dict[str, object] = {"executorLabel": executor_label(step.key)}
    return {
        **made,
        **({"inputDefinitions": inputs} if inputs else {}),
        **({"outputDefinitions": outputs} if outputs else {}),
    }


def _definitions(
    parameters: Mapping[str, Mapping[str, object]], artifacts: Mapping[str, ArtifactKind]
) -> dict[str, object]:
    made: dict[str, object] = {"parameters": dict(parameters)} if parameters else {}
    if artifacts:
        made["artifacts"] = {
            name: {"artifactType": {"schemaTitle": kind.value, "schemaVersion": _VERSION}}
            for name, kind in artifacts.items()
        }
    return made


def _parameter(parameter: Parameter) -> dict[str, object]:
    made: dict[str, object] = {"parameterType": parameter.kind.value}
    if parameter.optional:
        made["isOptional"] = True
    if parameter.has_default:
        made["defaultValue"] = parameter.default
    return made


def _executor(step: Step) -> dict[str, object]:
    return {
        "container": {
            "image": image(step.use.image),
            "command": ["sh", "-ec", _INSTALLS + _RUNS, step.source],
            "args": ["--executor_input", "{{$}}", "--function_to_execute", step.use.component.function],
        }
    }
