"""JSON to KFP's protobuf messages, with the path of whatever does not fit.

protobuf's own parser refuses unknown fields and wrong types too, but names the place only sometimes; so the shape is
checked here first, by the message's descriptor, and protobuf has the last word.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf import descriptor as descriptors
from google.protobuf import json_format

from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir.guard import at

_Field = descriptors.FieldDescriptor
_STRUCT = "google.protobuf.Struct"
_FREE = frozenset({"google.protobuf.Value"})
_NUMERIC = frozenset(
    {
        _Field.CPPTYPE_INT32,
        _Field.CPPTYPE_INT64,
        _Field.CPPTYPE_UINT32,
        _Field.CPPTYPE_UINT64,
        _Field.CPPTYPE_DOUBLE,
        _Field.CPPTYPE_FLOAT,
    }
)
_RANGES: Mapping[int, tuple[int, int]] = {
    _Field.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    _Field.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    _Field.CPPTYPE_UINT32: (0, 2**32 - 1),
    _Field.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_PROTOBUF_PREFIX = re.compile(r"^(?:Failed to parse \w+ field: )+")
_Kind = TypeVar("_Kind", bound="dict[Any, Any] | list[Any] | str | bool")
_JSON_NAMES: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


def parse(value: object, message: Any, *, path: str) -> Any:
    """Fill `message` from JSON that has passed `check_json`.

    Args:
        value: the JSON; camelCase or snake_case field names.
        message: an empty protobuf message of the wanted type; is filled and returned.
        path: where `value` stands in the IR.

    Raises:
        InvalidPipeline: an unknown field, a wrong type, a value out of range.
    """
    _check_message(value, message.DESCRIPTOR, path)
    try:
        return json_format.ParseDict(value, message)
    except (json_format.ParseError, TypeError, ValueError, AttributeError, OverflowError, KeyError) as error:
        # What the shape does not show: an integer out of range, a malformed duration, two members of a oneof.
        reason = _PROTOBUF_PREFIX.sub("", str(error)).splitlines()[0].rstrip(".")
        raise InvalidPipeline(path or "pipeline_spec", reason[:300]) from error


def plain(message: Any) -> Any:
    """A `Struct` or `Value` message as plain JSON."""
    return json_format.MessageToDict(message)


def _check_message(value: object, descriptor: Any, path: str) -> None:
    seen: set[int] = set()
    for key, item in _expect(value, dict, path).items():
        field = descriptor.fields_by_camelcase_name.get(key) or descriptor.fields_by_name.get(key)
        if field is None:
            known = ", ".join(sorted(descriptor.fields_by_camelcase_name))
            raise InvalidPipeline(at(path, key), f"unknown field; known: {known}")
        if field.number in seen:
            raise InvalidPipeline(at(path, key), "given twice, in camelCase and in snake_case")
        seen.add(field.number)
        _check_field(item, field, at(path, key))


def _check_field(item: object, field: Any, path: str) -> None:
    if item is None:
        return
    if _is_map(field):
        for key, child in _expect(item, dict, path).items():
            _check_single(child, field.message_type.fields_by_name["value"], at(path, key))
        return
    if field.is_repeated:
        for index, child in enumerate(_expect(item, list, path)):
            _check_single(child, field, at(path, index))
        return
    _check_single(item, field, path)


def _check_single(item: object, field: Any, path: str) -> None:
    if field.message_type is not None:
        _check_submessage(item, field.message_type, path)
        return
    if field.enum_type is not None:
        _check_enum(item, field.enum_type, path)
        return
    if field.cpp_type == _Field.CPPTYPE_STRING:
        _expect(item, str, path)
    if field.cpp_type == _Field.CPPTYPE_BOOL:
        _expect(item, bool, path)
    if field.cpp_type in _NUMERIC and (isinstance(item, bool) or not isinstance(item, int | float | str)):
        raise InvalidPipeline(path, f"must be a number, is {_name(item)}")
    limits = _RANGES.get(field.cpp_type)
    if limits and isinstance(item, int | float) and not limits[0] <= item <= limits[1]:
        raise InvalidPipeline(path, f"must be a number from {limits[0]} to {limits[1]}")


def _check_submessage(item: object, descriptor: Any, path: str) -> None:
    if descriptor.full_name in _FREE:
        return
    if descriptor.full_name == _STRUCT:
        _expect(item, dict, path)
        return
    if descriptor.full_name == "google.protobuf.Duration":
        _expect(item, str, path)
        return
    _check_message(item, descriptor, path)


def _check_enum(item: object, enum: Any, path: str) -> None:
    by_name = isinstance(item, str) and item in enum.values_by_name
    by_number = isinstance(item, int) and not isinstance(item, bool) and item in enum.values_by_number
    if not by_name and not by_number:
        raise InvalidPipeline(path, f"must be one of {', '.join(enum.values_by_name)}")


def _expect(item: object, kind: type[_Kind], path: str) -> _Kind:
    if not isinstance(item, kind):
        raise InvalidPipeline(path or "pipeline_spec", f"must be {_JSON_NAMES[kind]}, is {_name(item)}")
    return item


def _name(item: object) -> str:
    return "null" if item is None else _JSON_NAMES.get(type(item), type(item).__name__)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)
