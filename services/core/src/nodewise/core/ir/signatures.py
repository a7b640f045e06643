"""What components take and give, read from the IR."""

import re
from collections.abc import Mapping
from typing import Any, Final

from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir.guard import at
from nodewise.core.ir.messages import pb
from nodewise.core.ir.values import constant
from nodewise.core.ir.wire import plain
from nodewise.core.model.component import Artifact, Parameter, Signature, ValueKind

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,254}", re.ASCII)
"""Names of tasks, inputs and outputs: they become parts of URLs and of file names."""
_ANY: Final = "system.Artifact"


def read_signature(message: Any, *, path: str) -> Signature:
    """Read a `ComponentSpec`'s inputs and outputs.

    Raises:
        InvalidPipeline: a name, type or default that is wrong.
    """
    inputs, outputs = message.input_definitions, message.output_definitions
    return Signature(
        input_parameters=_parameters(inputs.parameters, at(path, "inputDefinitions.parameters")),
        input_artifacts=_artifacts(inputs.artifacts, at(path, "inputDefinitions.artifacts")),
        output_parameters=_parameters(outputs.parameters, at(path, "outputDefinitions.parameters")),
        output_artifacts=_artifacts(outputs.artifacts, at(path, "outputDefinitions.artifacts")),
    )


def check_name(name: str, path: str) -> str:
    """The name itself.

    Raises:
        InvalidPipeline: it is none.
    """
    if NAME.fullmatch(name) is None:
        raise InvalidPipeline(path, "a name is 1 to 255 letters, digits, _ and -")
    return name


def _parameters(definitions: Mapping[str, Any], path: str) -> dict[str, Parameter]:
    return {
        check_name(name, at(path, name)): _parameter(definitions[name], at(path, name))
        for name in sorted(definitions)
    }


def _parameter(definition: Any, path: str) -> Parameter:
    type_name = pb.ParameterType.ParameterTypeEnum.Name(definition.parameter_type)
    if type_name not in ValueKind.__members__:
        raise InvalidPipeline(at(path, "parameterType"), f"must be one of {', '.join(ValueKind)}")
    kind = ValueKind(type_name)
    # Output definitions have neither defaults nor literals.
    if "default_value" not in definition.DESCRIPTOR.fields_by_name:
        return Parameter(kind=kind)
    parameter = Parameter(
        kind=kind, optional=definition.is_optional, literals=_literals(definition, kind, path)
    )
    if not definition.HasField("default_value"):
        return parameter
    default = _default(plain(definition.default_value), parameter, at(path, "defaultValue"))
    return Parameter(kind=kind, optional=True, default=default, has_default=True, literals=parameter.literals)


def _literals(definition: Any, kind: ValueKind, path: str) -> tuple[object, ...]:
    if "literals" not in definition.DESCRIPTOR.fields_by_name:
        return ()
    free = Parameter(kind=kind)
    return tuple(
        _default(plain(literal), free, at(at(path, "literals"), index))
        for index, literal in enumerate(definition.literals)
    )


def _default(value: object, parameter: Parameter, path: str) -> object:
    if value is None:
        return None
    try:
        return constant(value, parameter)
    except ValueError as error:
        raise InvalidPipeline(path, f"{error} ({parameter.kind})") from error


def _artifacts(definitions: Mapping[str, Any], path: str) -> dict[str, Artifact]:
    return {
        check_name(name, at(path, name)): Artifact(
            schema_title=definition.artifact_type.schema_title or _ANY,
            optional=getattr(definition, "is_optional", False),
            is_list=definition.is_artifact_list,
        )
        for name, definition in sorted(definitions.items())
    }
