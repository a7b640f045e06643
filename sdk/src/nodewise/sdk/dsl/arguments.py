"""The arguments of a call by input name, checked against a signature."""

from collections.abc import Mapping
from typing import Any

from nodewise.sdk.dsl.errors import PipelineError, place_of_caller
from nodewise.sdk.dsl.signature import Signature


def bound(
    signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, subject: str
) -> dict[str, Any]:
    """What was given, by input name; defaults stay out.

    Args:
        signature: of what is called.
        args: given by position.
        kwargs: given by name.
        subject: how messages name it: "task 'train'".

    Raises:
        PipelineError: something is missing, unknown or given twice; names the line of the call.
    """
    inputs = signature.inputs
    if len(args) > len(inputs):
        raise _error(subject, f"takes {len(inputs)} inputs, {len(args)} were given")
    given = dict(zip(inputs, args, strict=False))
    for name, value in kwargs.items():
        if name in given:
            raise _error(subject, f"has two values for the input {name!r}")
        if name not in inputs:
            raise _error(subject, _unknown(signature, name))
        given[name] = value
    missing = [name for name, item in inputs.items() if name not in given and not item.optional]
    if missing:
        raise _error(subject, f"needs {', '.join(missing)}")
    return {name: _widened(inputs[name].type, value) for name, value in given.items()}


def _unknown(signature: Signature, name: str) -> str:
    if name == signature.status_name:
        return f"is told {name!r} when it runs: leave it out"
    return f"has no input named {name!r}; its inputs: {', '.join(signature.inputs) or 'none'}"


def _widened(kind: type, value: Any) -> Any:
    """A whole number for a float is a float, as everywhere in Python."""
    return float(value) if kind is float and type(value) is int else value


def _error(subject: str, rule: str) -> PipelineError:
    return PipelineError(place_of_caller(), f"{subject} {rule}")
