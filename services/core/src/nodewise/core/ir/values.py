"""Values and their types, and the parameters that a run is given."""

from collections.abc import Mapping
from typing import Final

from nodewise.core.errors import InvalidParameters, InvalidPipeline
from nodewise.core.ir.guard import check_json
from nodewise.core.ir.parameters import as_text, coerce, whole_numbers
from nodewise.core.ir.tree import Program
from nodewise.core.model.component import Parameter, ValueKind

_OBJECTS: Final = frozenset({ValueKind.TASK_FINAL_STATUS, ValueKind.TASK_CONFIG})
_NUMBERS: Final = frozenset({ValueKind.NUMBER_INTEGER, ValueKind.NUMBER_DOUBLE})


def typed(value: object, parameter: Parameter) -> object:
    """The value as the parameter's type. A STRING takes anything, as JSON; else nothing is converted but 3.0 to 3.

    Raises:
        ValueError: another type, or none of the parameter's literals.
    """
    value = as_text(value) if parameter.kind is ValueKind.STRING else coerce(value, parameter.kind)
    if parameter.literals and not any(_equal(value, literal) for literal in parameter.literals):
        allowed = ", ".join(as_text(literal)[:40] for literal in parameter.literals[:20])
        raise ValueError(f"must be one of {allowed}")
    return value


def constant(value: object, parameter: Parameter) -> object:
    """A value out of the IR as the parameter's type; inside lists and objects, 1.0 is 1.

    Raises:
        ValueError: as `typed`.
    """
    value = typed(value, parameter)
    return whole_numbers(value) if isinstance(value, list | dict) else value


def fits(given: ValueKind, wanted: ValueKind) -> bool:
    """Whether a value of one type may at all become an input of another: known before anything ran."""
    if wanted is ValueKind.STRING or given is wanted:
        return True
    if given in _NUMBERS and wanted in _NUMBERS:
        return True
    return {given, wanted} <= _OBJECTS | {ValueKind.STRUCT}


def bind(program: Program, given: Mapping[str, object]) -> dict[str, object]:
    """The parameters of a run: what was given, checked, and the defaults of the rest (None for an optional one without).

    Raises:
        InvalidParameters: one that is unknown (the known ones are listed), missing, or of a wrong type.
    """
    for name in given:
        if name not in program.parameters:
            known = ", ".join(sorted(program.parameters)) or "none"
            raise InvalidParameters(str(name)[:80], f"unknown; this pipeline's parameters: {known}")
    return {name: _bound(name, spec, given) for name, spec in program.parameters.items()}


def _bound(name: str, parameter: Parameter, given: Mapping[str, object]) -> object:
    value = given.get(name)
    if name not in given and not parameter.optional:
        raise InvalidParameters(name, f"is required ({parameter.kind})")
    if name not in given:
        return parameter.default
    try:
        check_json(value)
        if value is None and parameter.has_default and parameter.default is not None:
            raise InvalidParameters(
                name, f"is null; leave it out for its default, {as_text(parameter.default)[:40]}"
            )
        if value is None and parameter.optional:
            return None
        # As KFP's API does: only between tasks does text take anything.
        return typed(coerce(value, parameter.kind), parameter)
    except InvalidPipeline as error:
        raise InvalidParameters(name, error.rule) from error
    except ValueError as error:
        raise InvalidParameters(name, f"{error} ({parameter.kind})") from error


def _equal(value: object, literal: object) -> bool:
    return value == literal and isinstance(value, bool) is isinstance(literal, bool)
