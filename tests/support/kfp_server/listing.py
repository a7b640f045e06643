"""Lists as KFP gives them: 20 a page, 200 at most, oldest first, a token that names the next row, filters."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tests.support.kfp_server.shape import ApiError, invalid

_PAGE, _MOST = 20, 200
_OPERATIONS = {
    1: "EQUALS", 2: "NOT_EQUALS", 3: "GREATER_THAN", 5: "GREATER_THAN_EQUALS", 6: "LESS_THAN",
    7: "LESS_THAN_EQUALS", 8: "IN", 9: "IS_SUBSTRING",
}  # fmt: skip
_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "EQUALS": lambda a, b: a == b,
    "NOT_EQUALS": lambda a, b: a != b,
    "GREATER_THAN": lambda a, b: a > b,
    "GREATER_THAN_EQUALS": lambda a, b: a >= b,
    "LESS_THAN": lambda a, b: a < b,
    "LESS_THAN_EQUALS": lambda a, b: a <= b,
    "IN": lambda a, b: a in b,
    "IS_SUBSTRING": lambda a, b: b in a,
}
_VALUES = {
    "int_value", "intValue", "long_value", "longValue", "string_value", "stringValue", "timestamp_value",
    "timestampValue", "int_values", "intValues", "long_values", "longValues", "string_values", "stringValues",
}  # fmt: skip


class Row(Protocol):
    """The columns of a row by their names; only those that are asked for need be made."""

    def __getitem__(self, column: str, /) -> Any: ...


def page(
    rows: Sequence[Row], query: Mapping[str, str], *, key: str, fields: frozenset[str]
) -> dict[str, Any]:
    """One page of `rows` as `{rows, total_size, next_page_token}`.

    Rows hold plain values under the names of `fields`; `key` is the primary key.
    """
    size = _size(query.get("page_size", ""))
    order = _order(query, fields)
    if query.get("page_token"):
        token = _read_token(query["page_token"])
        if query.get("sort_by") and order != token["order"]:
            raise invalid("the sort does not match the page token")
        order = token["order"]
        chosen, start = token["filter"], tuple(token["next"])
    else:
        chosen, start = query.get("filter", ""), None
    name, descending = order
    matching = [row for row in rows if _passes(row, chosen, fields)]
    matching.sort(key=lambda row: (row[name], row[key]), reverse=descending)
    rest = [row for row in matching if start is None or _not_before((row[name], row[key]), start, descending)]
    shown, following = rest[:size], rest[size:]
    token = ""
    if following:
        after = [following[0][name], following[0][key]]
        text = json.dumps({"order": order, "filter": chosen, "next": after})
        token = base64.b64encode(text.encode()).decode()
    return {"rows": shown, "total_size": len(matching), "next_page_token": token}


def allowed(query: Mapping[str, str], field: str) -> frozenset[Any] | None:
    """The values of a field that a query lets through, as far as an index on it would be asked; None: all of them."""
    try:
        text = (
            _read_token(query["page_token"])["filter"] if query.get("page_token") else query.get("filter", "")
        )
        predicates = json.loads(text or "{}").get("predicates", [])
    except (ApiError, ValueError, KeyError):
        return None  # Whoever reads the query in earnest says what is wrong with it.
    for predicate in predicates:
        operation = predicate.get("operation")
        name = _OPERATIONS.get(operation, "") if isinstance(operation, int) else operation
        if predicate.get("key") == field and name in ("EQUALS", "IN"):
            given = _given(predicate)
            return frozenset(given if name == "IN" else (given,))
    return None


def _given(predicate: Mapping[str, Any]) -> Any:
    """The one value of a predicate; a list of them for IN."""
    values = [value for name, value in predicate.items() if name in _VALUES]
    if len(values) != 1:
        raise invalid("a predicate needs one value")
    return values[0].get("values", []) if isinstance(values[0], dict) else values[0]


def _not_before(position: tuple[Any, ...], start: tuple[Any, ...], descending: bool) -> bool:
    return position <= start if descending else position >= start


def _size(text: str) -> int:
    try:
        size = int(text or 0)
    except ValueError as error:
        raise invalid("page_size is no number") from error
    if size < 0:
        raise invalid("The page size should be greater than 0.")
    return min(size or _PAGE, _MOST)


def _order(query: Mapping[str, str], fields: frozenset[str]) -> list[Any]:
    words = query.get("sort_by", "").lower().split() or ["created_at"]
    if len(words) > 2 or (len(words) == 2 and words[1] not in {"asc", "desc"}):
        raise invalid(f"Received invalid sort by format {query['sort_by']!r}")
    if words[0] not in fields:
        raise invalid(f"Invalid sorting field: {words[0]!r}")
    return [words[0], words[1:] == ["desc"]]


def _read_token(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(base64.b64decode(text))
    except ValueError as error:
        raise invalid("Invalid package token.") from error
    return found


def _passes(row: Row, text: str, fields: frozenset[str]) -> bool:
    if not text:
        return True
    try:
        predicates = json.loads(text).get("predicates", [])
    except ValueError as error:
        raise invalid("the filter is no JSON") from error
    return all(_holds(row, predicate, fields) for predicate in predicates)


def _holds(row: Row, predicate: Mapping[str, Any], fields: frozenset[str]) -> bool:
    operation = predicate.get("operation")
    test = _TESTS.get(_OPERATIONS.get(operation, "") if isinstance(operation, int) else str(operation))
    if test is None or predicate.get("key") not in fields:
        raise invalid(f"cannot filter by {predicate}")
    return test(row[predicate["key"]], _given(predicate))
