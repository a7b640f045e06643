"""`metadata.json` of mlopx: what it says of the components, the data set and the model, as our hints.

Its own form is free; what it holds beside these three is ignored. Both spellings that are in use are read: `params` and
`parameters` of a model, and components by their names as written or with dashes.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeGuard

from nodewise.core.compat.mlopx.model import ArtifactKind, Component
from nodewise.core.compat.mlopx.networks import layer_parameters
from nodewise.core.compat.mlopx.texts import Part, UnreadableScript, decoded
from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir.fields import Fields
from nodewise.core.ir.guard import at, check_json
from nodewise.core.model.task import DataKind, TaskKind

FILE: Final = "metadata.json"
_MAX_BYTES: Final = 1_000_000
_DATA_KINDS: Final[Mapping[str, DataKind]] = MappingProxyType(
    {"tabular": DataKind.TABULAR, "image": DataKind.IMAGES, "images": DataKind.IMAGES}
)
_RENAMED: Final[Mapping[str, str]] = MappingProxyType({"n_epochs": "epochs", "n_iter": "max_iter"})
"""Hyper-parameters that mlopx calls otherwise than the libraries whose names our estimates know."""
_SHARES: Final[Mapping[TaskKind, str]] = MappingProxyType(
    {TaskKind.TRAINING: "train_percentage", TaskKind.EVALUATION: "test_percentage"}
)
_LONGEST_TEXT: Final = 200
_LARGEST: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What the file says; empty where it says nothing. `kinds` and `unknown_kinds` are by component name with dashes."""

    kinds: Mapping[str, TaskKind] = field(default_factory=dict)
    unknown_kinds: Mapping[str, str] = field(default_factory=dict)
    dataset: Mapping[str, object] = field(default_factory=dict)
    model: Mapping[str, object] = field(default_factory=dict)


def read_metadata(content: bytes | str | Mapping[str, object]) -> Metadata:
    """Read the file, or what was loaded from it.

    Raises:
        UnreadableScript: it is no JSON object, or one of its figures is not what it should be.
    """
    document = dict(content) if isinstance(content, Mapping) else _parsed(content)
    try:
        check_json(document, root="metadata")
        found = _read(Fields(document, "metadata"))
        for kind in TaskKind:
            dataset_hint(found, kind)
        model_hint(found)
    except InvalidPipeline as error:
        raise UnreadableScript(Part.METADATA, FILE, f"{error.path}: {error.rule}") from error
    return found


def dashed(name: str) -> str:
    """A component's name as mlopx spells it in metadata and answers."""
    return name.lower().replace("_", "-")


def kind_from_arguments(component: Component) -> TaskKind:
    """What a component seems to do: mlopx 1.0.8 loses the type of every component whose name has neither capital nor `_`."""
    if ArtifactKind.MODEL in component.outputs.values():
        return TaskKind.TRAINING
    if ArtifactKind.MODEL in component.inputs.values():
        return TaskKind.EVALUATION
    return TaskKind.PREPROCESSING if component.outputs else TaskKind.OTHER


def dataset_hint(metadata: Metadata, kind: TaskKind) -> dict[str, object]:
    """The data that a component of that kind works on, as `platforms.nodewise` says it; empty where nothing is known.

    Training and evaluation work on their share of what preprocessing made, the others on the original.

    Raises:
        InvalidPipeline: a figure that is none.
    """
    fields = Fields(dict(metadata.dataset), "metadata.dataset")
    versions = {name: fields.group(name) for name in ("original", "preprocessed")}
    share_name = _SHARES.get(kind)
    share = _share(fields, share_name) if share_name else 1.0
    order = ("preprocessed", "original") if share_name else ("original", "preprocessed")
    version = next((versions[name] for name in order if versions[name]), versions["original"])
    samples = version.count("n_samples")
    hint: dict[str, object] = {
        "kind": _data_kind(fields),
        "samples": None if samples is None else round(samples * share),
        "features": version.count("n_features") or _product(version),
        "classes": version.count("n_classes"),
        "types": _counts(version.group("data_types")),
        "normalised": fields.flag("normalized") is not False or share_name is not None,
    }
    figures = {name: value for name, value in hint.items() if value not in (None, {})}
    return figures if figures.keys() - {"kind", "normalised"} else {}


def dataset_name(metadata: Metadata) -> str | None:
    """What the data set is called.

    Raises:
        InvalidPipeline: it is no text.
    """
    return Fields(dict(metadata.dataset), "metadata.dataset").text("name")


def model_hint(metadata: Metadata) -> dict[str, object]:
    """The model, as `platforms.nodewise` says it; empty where none is described.

    Raises:
        InvalidPipeline: its type is no text, or its parameters are no object.
    """
    fields = Fields(dict(metadata.model), "metadata.model")
    kind = fields.text("type")
    given = fields.group("params") or fields.group("parameters")
    if kind is None:
        return {}
    parameters: dict[str, object] = {}
    for name in given.names():
        value = given.take(name)
        if name == "layers" and isinstance(value, list):
            parameters.update(layer_parameters(value, model=kind.lower()))
        elif _is_plain(value):
            parameters[_RENAMED.get(name, name)] = value
    return {"type": kind.lower(), "parameters": parameters} if parameters else {"type": kind.lower()}


def _parsed(content: bytes | str) -> dict[str, object]:
    text = decoded(content, part=Part.METADATA, file=FILE, most=_MAX_BYTES)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableScript(Part.METADATA, FILE, f"is not JSON: {str(error)[:200]}") from error
    if not isinstance(document, dict):
        raise UnreadableScript(Part.METADATA, FILE, "must be a JSON object")
    return document


def _read(fields: Fields) -> Metadata:
    written = fields.group("components_type") or fields.group("components")
    kinds = {dashed(name): (written.text(name) or "").strip().lower() for name in written.names()}
    known = {kind.value for kind in TaskKind}
    found = Metadata(
        kinds={name: TaskKind(kind) for name, kind in kinds.items() if kind in known},
        unknown_kinds={name: kind for name, kind in kinds.items() if kind not in known},
        dataset=_all(fields.group("dataset")),
        model=_all(fields.group("model")),
    )
    dataset_name(found)
    return found


def _all(fields: Fields) -> dict[str, object]:
    return {name: fields.take(name) for name in fields.names()}


def _share(fields: Fields, name: str) -> float:
    value = fields.take(name)
    if value is None or value == 0:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise InvalidPipeline(at(fields.path, name), "must be a number from 0 to 1")
    return float(value)


def _data_kind(fields: Fields) -> str | None:
    text = fields.text("type")
    if text is None:
        return None
    kind = _DATA_KINDS.get(text.lower())
    if kind is None:
        raise InvalidPipeline(at(fields.path, "type"), f"must be one of {', '.join(_DATA_KINDS)}")
    return kind.value


def _product(version: Fields) -> int | None:
    shape = version.take("input_shape")
    if shape is None:
        return None
    sides = [side for side in shape if _is_side(side)] if isinstance(shape, list) else []
    if not sides or len(sides) != len(shape) or math.prod(sides) > _LARGEST:
        raise InvalidPipeline(
            at(version.path, "input_shape"), "must be a list of whole numbers, as of an image"
        )
    return math.prod(sides)


def _is_side(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST


def _counts(fields: Fields) -> dict[str, int]:
    return {name: fields.count(name) or 0 for name in fields.names()}


def _is_plain(value: object) -> bool:
    """Whether the IR's hints take it as a hyper-parameter."""
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    if isinstance(value, list):
        return all(isinstance(item, int | float) and not isinstance(item, bool) for item in value)
    return value is None or isinstance(value, bool | int | float)
