"""A pipeline after reading: a DAG of leaf tasks with every input bound to where it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nodewise.core.model.ids import TaskPath
from nodewise.core.model.task import TaskSpec


class ParameterType(StrEnum):
    """The parameter types of KFP's IR (`ParameterType.ParameterTypeEnum`)."""

    STRING = "STRING"
    NUMBER_INTEGER = "NUMBER_INTEGER"
    NUMBER_DOUBLE = "NUMBER_DOUBLE"
    BOOLEAN = "BOOLEAN"
    LIST = "LIST"
    STRUCT = "STRUCT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSpec:
    """A pipeline's or component's input parameter. `has_default` tells a default of None from no default."""

    type: ParameterType
    optional: bool = False
    default: object = None
    has_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactSpec:
    """A component's input or output artifact. `schema_title` is, for example, `system.Dataset`."""

    schema_title: str
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FromConstant:
    """The input is fixed in the IR."""

    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class FromRun:
    """The input is a parameter of the run."""

    parameter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FromTask:
    """The input is an output of another task."""

    task: TaskPath
    output: str


ParameterSource = FromConstant | FromRun | FromTask


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonComponent:
    """The code of a lightweight Python component: run only on a node, never by the control plane.

    `source` is the module's text, `function` the name to call in it. `environment` are variables for its process.
    """

    source: str
    function: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineTask:
    """A leaf task with its code and the source of every input.

    `memory_limit_mib` (None: the node's) is what its process may use; what is booked stands in `spec`.
    """

    spec: TaskSpec
    code: PythonComponent
    input_parameters: Mapping[str, ParameterSpec] = field(default_factory=dict)
    input_artifacts: Mapping[str, ArtifactSpec] = field(default_factory=dict)
    output_parameters: Mapping[str, ParameterSpec] = field(default_factory=dict)
    output_artifacts: Mapping[str, ArtifactSpec] = field(default_factory=dict)
    parameter_sources: Mapping[str, ParameterSource] = field(default_factory=dict)
    artifact_sources: Mapping[str, FromTask] = field(default_factory=dict)
    memory_limit_mib: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A whole pipeline. `tasks` are in topological order; `priority`, `deadline_seconds`, `team` are its author's defaults."""

    name: str
    tasks: Mapping[TaskPath, PipelineTask]
    parameters: Mapping[str, ParameterSpec] = field(default_factory=dict)
    priority: int | None = None
    deadline_seconds: float | None = None
    team: str | None = None
