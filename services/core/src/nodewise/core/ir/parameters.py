"""Parameter values: their types, and the parameters that a run is given."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, cast

from nodewise.core.errors import InvalidParameters, InvalidPipeline
from nodewise.core.ir.guard import check_json
from nodewise.core.model.pipeline import ParameterSpec, ParameterType, Pipeline

_LARGEST_INTEGER: Final = 2**63 - 1


def _integer(value: object) -> object:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        raise ValueError("must be a whole number")
    number = int(cast("int | float", value))
    if abs(number) > _LARGEST_INTEGER:
        raise ValueError("must be a whole number of at most 64 bits")
    return number


def _double(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")  # noqa: TRY004 (one error type for every broken rule)
    return float(value)


def _instance(kind: type, name: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        if not isinstance(value, kind):
            raise ValueError(f"must be {name}")  # noqa: TRY004 (one error type for every broken rule)
        return value

    return check


_COERCE: Final[Mapping[ParameterType, Callable[[object], object]]] = MappingProxyType(
    {
        ParameterType.STRING: _instance(str, "text"),
        ParameterType.NUMBER_INTEGER: _integer,
        ParameterType.NUMBER_DOUBLE: _double,
        ParameterType.BOOLEAN: _instance(bool, "true or false"),
        ParameterType.LIST: _instance(list, "a list"),
        ParameterType.STRUCT: _instance(dict, "an object"),
    }
)


def coerce(value: object, kind: ParameterType) -> object:
    """The value as that type: 3.0 becomes 3 for an integer, 3 becomes 3.0 for a double. Nothing else is converted.

    Raises:
        ValueError: another type; the text is a rule ("must be a whole number").
    """
    return _COERCE[kind](value)


def whole_numbers(value: object) -> object:
    """Integral doubles inside a list or an object as ints, since protobuf has lost which ones were.

    KFP's back end writes 1 for 1.0 too, so a component sees the same there. The value has passed `check_json`.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: whole_numbers(item) for key, item in value.items()}
    return value


def bind_parameters(pipeline: Pipeline, given: Mapping[str, object]) -> dict[str, object]:
    """The parameters of a run: what was given, checked, and the defaults of the rest.

    An optional parameter that has no default and was not given is left out; one given as None stays None.

    Raises:
        InvalidParameters: one that is unknown (the known ones are listed), missing, or of a wrong type.
    """
    for name in given:
        if name not in pipeline.parameters:
            known = ", ".join(sorted(pipeline.parameters)) or "none"
            raise InvalidParameters(str(name)[:80], f"unknown; this pipeline's parameters: {known}")
    bound: dict[str, object] = {}
    for name, spec in pipeline.parameters.items():
        if name in given:
            bound[name] = _bind(name, spec, given[name])
        elif spec.has_default:
            bound[name] = spec.default
        elif not spec.optional:
            raise InvalidParameters(name, f"is required ({spec.type})")
    return bound


def _bind(name: str, spec: ParameterSpec, value: object) -> object:
    try:
        check_json(value)
    except InvalidPipeline as error:
        raise InvalidParameters(name, error.rule) from error
    if value is None and spec.optional:
        return None
    try:
        return coerce(value, spec.type)
    except ValueError as error:
        raise InvalidParameters(name, f"{error} ({spec.type})") from error
