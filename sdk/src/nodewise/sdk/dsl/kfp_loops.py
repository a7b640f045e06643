"""Loops: what KFP's `ParallelFor` runs over, and the item that it gives."""

import json
import math
from collections.abc import Sequence
from typing import Any

from kfp import dsl
from kfp.dsl import for_loop, pipeline_channel

from nodewise.core.model.component import ValueKind
from nodewise.sdk.dsl.blocks import Scope
from nodewise.sdk.dsl.errors import PipelineError, place_of_caller
from nodewise.sdk.dsl.handle import TaskHandle
from nodewise.sdk.dsl.kfp_values import as_output, handed_on, text_of, type_of
from nodewise.sdk.dsl.unknown import Condition, LoopItem, Origin, TaskOutput


def parallel_for(items: Any, parallelism: int, here: Scope) -> Any:
    """KFP's loop.

    Raises:
        PipelineError: it is nothing to loop over.
    """
    if isinstance(parallelism, bool) or not isinstance(parallelism, int) or parallelism < 0:
        raise _error(f"parallelism must be a whole number, 0 for all at once, is {parallelism!r}")
    if isinstance(items, TaskHandle):
        items = items.output
    if isinstance(items, TaskOutput):
        group = dsl.ParallelFor(_channel(items, here), parallelism=parallelism)
    else:
        group = _over_constants(_constants(items), parallelism)
    return _told_apart(group)


class _Name(str):
    """A loop's name, which has in it only itself and the name of what it runs over.

    KFP's compiler asks with `in`, so that a parameter `rate` counts as what a loop over `rates` runs over, and does not get
    into the blocks in that loop.
    """

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        return name == str(self) or f"{name}-{for_loop.LOOP_ITEM_NAME_BASE}" == str(self)


class _ParameterItem(for_loop.LoopParameterArgument):  # type: ignore[misc]
    @property
    def full_name(self) -> str:
        return _Name(super().full_name)


class _ArtifactItem(for_loop.LoopArtifactArgument):  # type: ignore[misc]
    @property
    def full_name(self) -> str:
        return _Name(super().full_name)


def _told_apart(group: Any) -> Any:
    item = group.loop_argument
    item.__class__ = _ParameterItem if isinstance(item, for_loop.LoopParameterArgument) else _ArtifactItem
    return group


def in_text(channel: Any, loops: Sequence[Any]) -> Any:
    """What a placeholder in a text stands for: of a loop's item KFP's compiler makes something that it does not find again.

    Args:
        channel: what KFP made of the placeholder.
        loops: KFP's loops around it.
    """
    for loop in loops:
        item = loop.loop_argument
        variables = getattr(item, "_referenced_subvars", {})
        for known in (item, *variables.values()):
            if str(known.full_name) == channel.full_name:
                return known
    return channel


def _channel(items: TaskOutput, here: Scope) -> Any:
    channel = handed_on(items, here)
    if isinstance(channel, dsl.Collected):
        raise _error(
            "KFP cannot loop over what was collected just so: go on inside the first loop, or put that loop into a "
            "pipeline that returns collect(...), and loop over its output"
        )
    is_artifact = isinstance(channel, pipeline_channel.PipelineArtifactChannel)
    if is_artifact and not channel.is_artifact_list:
        raise _error(f"{items._subject()} is one artifact, no list of them")
    loose = isinstance(channel, for_loop.LoopArgumentVariable | for_loop.LoopParameterArgument)
    if (
        not is_artifact
        and type_of(channel) is not ValueKind.LIST
        and not (loose and type_of(channel) is None)
    ):
        raise _error(f"{items._subject()} is no list")
    if loose and type_of(channel) is None:
        # KFP would not find it again as a list.
        return channel if isinstance(channel, for_loop.LoopArgumentVariable) else _as_list(channel)
    return channel


def _as_list(item: Any) -> Any:
    item.channel_type = "LIST"
    return item


def _constants(items: Any) -> list[Any]:
    if not isinstance(items, list | tuple):
        raise _error(
            f"a {type(items).__name__} is nothing to loop over: give a list, a parameter or output that is one, "
            "or a list of artifacts"
        )
    if not items:
        raise _error("the list is empty")
    for item in items:
        _check_constant(item)
    kinds = {type(item) for item in items}
    if kinds == {int, float}:
        return [float(item) for item in items]
    if len(kinds) > 1:
        names = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise _error(f"the items must be of one type, are {names}")
    if kinds == {dict}:
        return _alike(items)
    return list(items)


def _check_constant(item: Any) -> None:
    if isinstance(item, TaskOutput | TaskHandle | Condition):
        raise _error(
            "a list of outputs cannot be looped over: let a task return the list, or collect(...) them in a pipeline of its own"
        )
    try:
        text = json.dumps(item, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _error(f"an item is no plain value: {item!r}") from error
    if "{{channel:" in text:
        raise _error("an item holds an output: hand that to the tasks in the loop instead")
    if item is None or (isinstance(item, float) and not math.isfinite(item)):
        raise _error(f"an item is {item!r}")


def _alike(items: Sequence[dict[str, Any]]) -> list[Any]:
    first = items[0]
    for item in items:
        if set(item) != set(first) or not first or not all(isinstance(key, str) for key in item):
            raise _error(f"the items must be dicts with the same keys; {first!r} and {item!r} are not")
    return [
        {key: float(value) if _mixed(items, key) else value for key, value in item.items()} for item in items
    ]


def _mixed(items: Sequence[dict[str, Any]], key: str) -> bool:
    return {type(item[key]) for item in items} == {int, float}


def _over_constants(items: list[Any], parallelism: int) -> Any:
    if not isinstance(items[0], dict):
        return dsl.ParallelFor(items, parallelism=parallelism)
    # KFP would make attributes of its own object of the keys, `name` among them.
    group = dsl.ParallelFor(["one"], parallelism=parallelism)
    group.loop_argument.items_or_pipeline_channel = items
    group.loop_argument.channel_type = "Dict[str, str]"
    return group


def item_of(group: Any, subject: str, scope: Scope) -> TaskOutput:
    """What the loop gives for each item."""
    channel = group.loop_argument
    if isinstance(channel, pipeline_channel.PipelineArtifactChannel):
        return as_output(channel, subject, scope)

    def part(name: str) -> TaskOutput:
        _check_part(channel, name, subject)
        variables = channel._referenced_subvars
        if name not in variables:
            variables[name] = _variable(channel, name)
        return as_output(variables[name], f"{subject} ({name!r} of it)", scope)

    origin = Origin(channel=channel, subject=subject, text=text_of(channel), scope=scope)
    return LoopItem(origin, part)


def _variable(channel: Any, name: str) -> Any:
    try:
        variable = for_loop.LoopArgumentVariable(loop_argument=channel, subvar_name=name)
    except ValueError as error:
        raise _error(f"KFP takes parts of items by names that are Python's, not {name!r}") from error
    items = channel.items_or_pipeline_channel
    if isinstance(items, list):
        # KFP gives all parts the type of the first.
        kinds = {type(item[name]).__name__ for item in items}
        variable.channel_type = kinds.pop() if len(kinds) == 1 else "String"
    return variable


def _check_part(channel: Any, name: str, subject: str) -> None:
    kind = type_of(channel)
    if kind not in (None, ValueKind.STRUCT):
        raise _error(f"{subject} is no dict: it has no part {name!r}")
    items = channel.items_or_pipeline_channel
    if isinstance(items, list) and name not in items[0]:
        raise _error(f"{subject} has no part {name!r}; its parts: {', '.join(items[0])}")


def _error(rule: str) -> PipelineError:
    return PipelineError(place_of_caller(), f"`each`: {rule}")
