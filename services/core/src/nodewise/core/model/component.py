"""What a leaf component is: what it takes and gives, and what it does (a Python function, a container, an import)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


class ValueKind(StrEnum):
    """The parameter types of KFP's IR, all of them."""

    STRING = "STRING"
    NUMBER_INTEGER = "NUMBER_INTEGER"
    NUMBER_DOUBLE = "NUMBER_DOUBLE"
    BOOLEAN = "BOOLEAN"
    LIST = "LIST"
    STRUCT = "STRUCT"
    TASK_FINAL_STATUS = "TASK_FINAL_STATUS"
    TASK_CONFIG = "TASK_CONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A declared parameter. `has_default` tells a default of None from no default; `literals` are all it may be (empty: anything)."""

    kind: ValueKind
    optional: bool = False
    default: object = None
    has_default: bool = False
    literals: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A declared artifact, or list of artifacts."""

    schema_title: str
    optional: bool = False
    is_list: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a component takes and gives, by name."""

    input_parameters: Mapping[str, Parameter] = field(default_factory=dict)
    input_artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    output_parameters: Mapping[str, Parameter] = field(default_factory=dict)
    output_artifacts: Mapping[str, Artifact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One argument, or a part of one. May hold placeholders."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat:
    """Parts that make up one argument."""

    parts: tuple["Argument", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IfPresent:
    """Arguments that depend on whether an optional input was given."""

    input_name: str
    then: tuple["Argument", ...]
    otherwise: tuple["Argument", ...] = ()


Argument: TypeAlias = Text | Concat | IfPresent


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """As KFP writes it. The names are those of its message, since one reader serves both."""

    type: str = ""
    count: int = 0
    resource_type: str = ""
    resource_count: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceTexts:
    """A container's resources as written: amounts as text, which may be placeholders, and KFP's older numbers.

    The names are those of KFP's message, since one reader serves both.
    """

    cpu_limit: float = 0.0
    memory_limit: float = 0.0
    cpu_request: float = 0.0
    memory_request: float = 0.0
    resource_cpu_limit: str = ""
    resource_memory_limit: str = ""
    resource_cpu_request: str = ""
    resource_memory_request: str = ""
    accelerator: Accelerator = field(default_factory=Accelerator)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonWork:
    """A lightweight Python component. `packages` are pip requirements beyond what every node has, `pip_options` go with them.

    `environment` values, `image` and `resources` may hold placeholders; `source` is never looked at.
    """

    source: str = field(repr=False)
    function: str
    packages: tuple[str, ...] = ()
    pip_options: tuple[str, ...] = ()
    image: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    resources: ResourceTexts = field(default_factory=ResourceTexts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerWork:
    """A program in an image. An empty `command` means the image's own."""

    image: str
    command: tuple[Argument, ...] = ()
    args: tuple[Argument, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    resources: ResourceTexts = field(default_factory=ResourceTexts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportWork:
    """Names what exists already, so it needs no node. The address is `uri`, or (empty) the input parameter `uri_input`.

    `reimport` asks for a new artifact even where the same address was imported before.
    """

    output: str
    schema_title: str
    uri: str = ""
    uri_input: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)
    reimport: bool = False


Work: TypeAlias = PythonWork | ContainerWork | ImportWork
