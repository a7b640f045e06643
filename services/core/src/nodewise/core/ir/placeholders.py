"""KFP's placeholders: reading them, so that a wrong one is refused at submission, and putting values in their place.

A value is put in once and never looked at again, so text that comes from a user or from a task is not expanded.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from nodewise.core.errors import InvalidPipeline, TooMuchText, UnsupportedFeature
from nodewise.core.ir.guard import at
from nodewise.core.ir.parameters import as_text
from nodewise.core.model.component import Argument, Concat, IfPresent, Text

# Bounded, and it stops at the next brace: an opening that is never closed must not be looked for to the end of the text.
_PLACEHOLDER: Final = re.compile(r"\{\{\$([^{}]{0,1000})\}\}")
LARGEST_TEXT: Final = 1024 * 1024
"""Characters that placeholders may make of one text. A value that is nothing but a placeholder is passed on, however large."""
MOST_TEXT: Final = 16 * LARGEST_TEXT
"""Characters that they may make in one look at a run, or one reading."""
_KEY: Final = r"\[(?:'(?P<{0}>[^'\]]*)'|\"(?P<{0}_>[^\"\]]*)\")\]"
_NAMED: Final = re.compile(
    r"\.(?P<side>inputs|outputs)\.(?P<what>parameters|artifacts)"
    + _KEY.format("name")
    + r"(?:\.(?P<field>[a-z_]+)(?:"
    + _KEY.format("item")
    + r")?)?"
)
_DEEPEST: Final = 20


class Fact(StrEnum):
    """What placeholders can say of the run and the task. The values are KFP's names."""

    JOB_NAME = "pipeline_job_name"
    JOB_RESOURCE_NAME = "pipeline_job_resource_name"
    JOB_ID = "pipeline_job_uuid"
    TASK_NAME = "pipeline_task_name"
    TASK_ID = "pipeline_task_uuid"
    ROOT = "pipeline_root"
    CREATED = "pipeline_job_create_time_utc"
    SCHEDULED = "pipeline_job_schedule_time_utc"


class Part(StrEnum):
    """What a placeholder stands for, other than a fact."""

    EXECUTOR_INPUT = "executor input"
    OUTPUT_FILE = "executor output file"
    INPUT_PARAMETER = "input parameter"
    OUTPUT_PARAMETER = "output parameter"
    INPUT_ARTIFACT = "input artifact"
    OUTPUT_ARTIFACT = "output artifact"


_FIELDS: Final[Mapping[Part, frozenset[str]]] = MappingProxyType(
    {
        Part.INPUT_PARAMETER: frozenset({""}),
        Part.OUTPUT_PARAMETER: frozenset({"output_file"}),
        Part.INPUT_ARTIFACT: frozenset({"uri", "path", "name", "metadata"}),
        Part.OUTPUT_ARTIFACT: frozenset({"uri", "path", "name", "metadata"}),
    }
)
_PARTS: Final = MappingProxyType(
    {
        ("inputs", "parameters"): Part.INPUT_PARAMETER,
        ("outputs", "parameters"): Part.OUTPUT_PARAMETER,
        ("inputs", "artifacts"): Part.INPUT_ARTIFACT,
        ("outputs", "artifacts"): Part.OUTPUT_ARTIFACT,
    }
)
_WHOLE: Final = MappingProxyType(
    {
        "": Part.EXECUTOR_INPUT,
        ".outputs.output_file": Part.OUTPUT_FILE,
        ".outputs.output_metadata_uri": Part.OUTPUT_FILE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One placeholder. `field` is what is wanted of an artifact; `item` the key in its metadata."""

    part: Part | Fact
    name: str = ""
    field: str = ""
    item: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The names that placeholders may use in some place of the IR."""

    input_parameters: frozenset[str] = frozenset()
    input_artifacts: frozenset[str] = frozenset()
    output_parameters: frozenset[str] = frozenset()
    output_artifacts: frozenset[str] = frozenset()
    parts: frozenset[Part] = field(default_factory=lambda: frozenset(Part))

    def names(self, part: Part) -> frozenset[str]:
        return {
            Part.INPUT_PARAMETER: self.input_parameters,
            Part.INPUT_ARTIFACT: self.input_artifacts,
            Part.OUTPUT_PARAMETER: self.output_parameters,
            Part.OUTPUT_ARTIFACT: self.output_artifacts,
        }.get(part, frozenset())


Resolver: TypeAlias = Callable[[Reference], object]
_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


@contextmanager
def bounded_expansion(characters: int = MOST_TEXT) -> Iterator[None]:
    """So many characters may placeholders make in all, within this thread: pipelines can have each text be ten of the one before."""
    token = _left.set([characters])
    try:
        yield
    finally:
        _left.reset(token)


def _spend(characters: int) -> None:
    left = _left.get()
    if left is None:
        return
    left[0] -= characters
    if left[0] < 0:
        raise TooMuchText("the placeholders of this pipeline would make more text than is allowed")


def has_placeholder(text: str) -> bool:
    return "{{$" in text


def references(value: object) -> Iterator[Reference]:
    """Every placeholder inside a value that has passed `check`."""
    for text in texts(value):
        for match in _PLACEHOLDER.finditer(text):
            reference = _read(match.group(1))
            if reference is not None:
                yield reference


def check(value: object, known: Known, *, path: str) -> None:
    """Refuse placeholders that are unknown, or that name what is not there.

    Raises:
        InvalidPipeline: an input or output that does not exist.
        UnsupportedFeature: a placeholder that is not known here, or not in this place.
    """
    for text in texts(value):
        for match in _PLACEHOLDER.finditer(text):
            _check(match, known, path)


def _check(match: re.Match[str], known: Known, path: str) -> None:
    reference = _read(match.group(1))
    if reference is None:
        raise UnsupportedFeature(path, f"the placeholder {match.group()[:80]!r}", "pass the value itself")
    if isinstance(reference.part, Fact):
        return
    if reference.part not in known.parts:
        raise UnsupportedFeature(
            path, f"the placeholder {match.group()[:80]!r} in this place", "pass the value itself"
        )
    if reference.part in _FIELDS and reference.name not in known.names(reference.part):
        names = ", ".join(sorted(known.names(reference.part))[:20]) or "none"
        raise InvalidPipeline(
            path, f"refers to the {reference.part} {reference.name[:80]!r}; there are: {names}"
        )


def _read(body: str) -> Reference | None:
    if body in _WHOLE:
        return Reference(part=_WHOLE[body])
    if body[1:] in set(Fact) and body.startswith("."):
        return Reference(part=Fact(body[1:]))
    match = _NAMED.fullmatch(body)
    if match is None:
        return None
    part, wanted = _PARTS[match["side"], match["what"]], match["field"] or ""
    item = match["item"] or match["item_"] or ""
    if wanted not in _FIELDS[part] or (item and wanted != "metadata"):
        return None
    return Reference(part=part, name=match["name"] or match["name_"] or "", field=wanted, item=item)


def expand(value: object, resolve: Resolver) -> object:
    """The value with every placeholder replaced.

    In the midst of text a value becomes text (JSON for what is not a string); text that is nothing but a placeholder becomes
    the value itself, with its type.

    Raises:
        TooMuchText: the text would have more than `LARGEST_TEXT` characters.
    """
    if isinstance(value, str):
        return _expanded(value, resolve)
    if isinstance(value, list):
        return [expand(item, resolve) for item in value]
    if isinstance(value, dict):
        return {key: expand(item, resolve) for key, item in value.items()}
    return value


def expand_text(text: str, resolve: Resolver) -> str:
    """The same, always as text.

    Raises:
        TooMuchText: it would have more than `LARGEST_TEXT` characters.
    """
    return as_text(_expanded(text, resolve)) if has_placeholder(text) else text


def _expanded(text: str, resolve: Resolver) -> object:
    whole = _PLACEHOLDER.fullmatch(text)
    if whole is not None and (reference := _read(whole.group(1))) is not None:
        return resolve(reference)

    made = 0

    def put(match: re.Match[str]) -> str:
        nonlocal made
        found = _read(match.group(1))
        word = match.group() if found is None else as_text(resolve(found))
        made += len(word)
        if made > LARGEST_TEXT:
            raise TooMuchText(f"its placeholders would make more than {LARGEST_TEXT} characters of one text")
        _spend(len(word))
        return word

    return _PLACEHOLDER.sub(put, text)


def read_argument(text: str, known: Known, *, path: str) -> Argument:
    """One element of a container's command or arguments; KFP writes Concat and IfPresent as JSON text.

    Raises:
        InvalidPipeline: a structure or placeholder that is wrong.
    """
    if text.lstrip().startswith("{") and ('"Concat"' in text or '"IfPresent"' in text):
        try:
            structure = json.loads(text)
        except (ValueError, RecursionError):
            structure = text
        return _argument(structure, known, path=path, depth=0)
    return _argument(text, known, path=path, depth=0)


def _argument(value: object, known: Known, *, path: str, depth: int) -> Argument:
    if depth > _DEEPEST:
        raise InvalidPipeline(path, f"Concat and IfPresent are nested more than {_DEEPEST} deep")
    if isinstance(value, str):
        check(value, known, path=path)
        return Text(text=value)
    if isinstance(value, dict) and set(value) == {"Concat"} and isinstance(value["Concat"], list):
        parts = [_argument(item, known, path=path, depth=depth + 1) for item in value["Concat"]]
        return Concat(parts=tuple(parts))
    if isinstance(value, dict) and set(value) == {"IfPresent"} and isinstance(value["IfPresent"], dict):
        return _if_present(value["IfPresent"], known, path=at(path, "IfPresent"), depth=depth + 1)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Text(text=as_text(value))
    raise InvalidPipeline(path, "must be text, a Concat or an IfPresent")


def _if_present(value: Mapping[str, object], known: Known, *, path: str, depth: int) -> IfPresent:
    name = value.get("InputName")
    if not isinstance(name, str) or name not in known.input_parameters | known.input_artifacts:
        raise InvalidPipeline(at(path, "InputName"), "must be an input of the component")
    if "Then" not in value or not set(value) <= {"InputName", "Then", "Else"}:
        raise InvalidPipeline(path, "must have InputName, Then and perhaps Else")
    branches = []
    for key in ("Then", "Else"):
        branch = value.get(key)
        items = branch if isinstance(branch, list) else [] if branch is None else [branch]
        branches.append(tuple(_argument(item, known, path=at(path, key), depth=depth + 1) for item in items))
    return IfPresent(input_name=name, then=branches[0], otherwise=branches[1])


def render(argument: Argument, resolve: Resolver, *, present: Callable[[str], bool]) -> list[str]:
    """The words that an argument comes to: one, or for IfPresent any number.

    Args:
        argument: read by `read_argument`.
        resolve: the value of a placeholder.
        present: whether the input of that name was given.
    """
    if isinstance(argument, Text):
        return [expand_text(argument.text, resolve)]
    if isinstance(argument, Concat):
        words = [word for part in argument.parts for word in render(part, resolve, present=present)]
        return ["".join(words)]
    branch = argument.then if present(argument.input_name) else argument.otherwise
    return [word for item in branch for word in render(item, resolve, present=present)]


def texts(value: object) -> Iterator[str]:
    """Every text inside a JSON value, but for keys."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
