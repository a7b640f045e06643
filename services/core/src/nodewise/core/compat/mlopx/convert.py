"""A pipeline of mlopx to KFP's IR and our hints. Pure: texts in, data out; no user code is executed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from nodewise.core.compat.mlopx.components import read_component
from nodewise.core.compat.mlopx.ir import Step, executor_label, key_of, pipeline_spec
from nodewise.core.compat.mlopx.metadata import (
    Metadata,
    dashed,
    dataset_hint,
    dataset_name,
    kind_from_arguments,
    model_hint,
    read_metadata,
)
from nodewise.core.compat.mlopx.model import Component, Converted, Use
from nodewise.core.compat.mlopx.names import MadeComponent
from nodewise.core.compat.mlopx.script import MAX_COMPONENTS, Script, read_script
from nodewise.core.compat.mlopx.texts import Part, UnreadableScript
from nodewise.core.compat.mlopx.volumes import Settled, settle
from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir.graph import find_cycle, topological_order
from nodewise.core.ir.guard import check_json
from nodewise.core.ir.parameters import coerce
from nodewise.core.model.task import TaskKind

MAX_TOTAL_BYTES: Final = 300_000
"""Of all component files together: reading the worst texts of that size takes a few seconds."""
_MAX_NAME: Final = 200
_SCRIPT: Final = "pipeline.py"


def read_upload(
    *, name: str, components: Sequence[tuple[str, bytes]], pipeline: bytes, metadata: bytes
) -> Converted:
    """Read what mlopx's client sends.

    Args:
        name: of the pipeline.
        components: file names and contents.
        pipeline: the content of the script.
        metadata: the content of `metadata.json`.

    Raises:
        UnreadableScript: with the part, the line and the reason.
    """
    files = _files(components)
    script = read_script(pipeline, file=_SCRIPT)
    uses = _uses(script, files)
    converted = convert(name, uses, read_metadata(metadata))
    return replace(converted, notes=(*_notes(script, files, uses), *converted.notes))


def convert(name: str, uses: Sequence[Use], metadata: Metadata) -> Converted:
    """Wire components together and write them as IR with hints.

    An input artifact comes from the output argument of the same name; where several components have one, from the
    component that was added last.

    Args:
        name: of the pipeline.
        uses: its components in the order in which they were added.
        metadata: what is known of them.

    Raises:
        UnreadableScript: an argument or artifact that does not fit, or a volume that cannot be had.
    """
    if not 0 < len(name.strip()) <= _MAX_NAME or not name.isprintable():
        raise UnreadableScript(
            Part.PIPELINE, _SCRIPT, f"the pipeline's name must have 1 to {_MAX_NAME} characters"
        )
    _check_uses(uses)
    checked = [replace(use, arguments=_arguments(use)) for use in uses]
    settled = [settle(use) for use in checked]
    producers = _producers(checked)
    steps = [_step(use, one, producers) for use, one in zip(checked, settled, strict=True)]
    _check_acyclic(steps)
    executors = {
        executor_label(step.key): _hints(step.use, one, metadata)
        for step, one in zip(steps, settled, strict=True)
    }
    return Converted(
        name=name,
        pipeline_spec=pipeline_spec(name, steps),
        platforms={"nodewise": {"deploymentSpec": {"executors": executors}}},
        notes=tuple(_all_notes(uses, settled, metadata)),
        volumes={executor_label(step.key): step.use.volumes for step in steps if step.use.volumes},
    )


def _files(components: Sequence[tuple[str, bytes]]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for file, content in components:
        if file in files:
            raise UnreadableScript(Part.COMPONENTS, file[:200], "is sent twice")
        files[file] = content
    if not files or len(files) > MAX_COMPONENTS:
        raise UnreadableScript(Part.COMPONENTS, Part.COMPONENTS, f"must be 1 to {MAX_COMPONENTS} files")
    if sum(map(len, files.values())) > MAX_TOTAL_BYTES:
        reason = f"have more than {MAX_TOTAL_BYTES} bytes together"
        raise UnreadableScript(Part.COMPONENTS, Part.COMPONENTS, reason)
    return files


def _uses(script: Script, files: Mapping[str, bytes]) -> list[Use]:
    siblings = frozenset(file.removesuffix(".py") for file in files)
    used = {f"{made.function}.py" for made in script.pipeline.components}
    read = {
        file: read_component(content, file=file, siblings=siblings)
        for file, content in files.items()
        if file in used
    }
    return [_use(made, script, read) for made in script.pipeline.components]


def _use(made: MadeComponent, script: Script, read: Mapping[str, Component]) -> Use:
    component = read.get(f"{made.function}.py")
    if component is None:
        raise script.source.refused(made.node, f"the file {made.function}.py was not sent")
    return Use(
        component=component,
        image=made.image,
        arguments=made.arguments,
        volumes=tuple(made.volumes),
        line=made.node.lineno,
    )


def _notes(script: Script, files: Mapping[str, bytes], uses: Sequence[Use]) -> Iterator[str]:
    if script.skipped:
        lines = ", ".join(map(str, script.skipped[:20]))
        more = " ..." if len(script.skipped) > 20 else ""
        yield f"{_SCRIPT}: not run, as it is read only: what stands in line {lines}{more}"
    unused = sorted(set(files) - {use.component.file.file for use in uses})
    if unused:
        yield f"sent, but not part of the pipeline: {', '.join(unused)}"


def _check_uses(uses: Sequence[Use]) -> None:
    if not 0 < len(uses) <= MAX_COMPONENTS:
        raise UnreadableScript(Part.PIPELINE, _SCRIPT, f"a pipeline has 1 to {MAX_COMPONENTS} components")
    seen: dict[str, Use] = {}
    for use in uses:
        key = key_of(use.component.function)
        if key in seen:
            raise use.refused(f"is in the pipeline twice (or beside {seen[key].component.function!r})")
        if not 0 < len(use.image) <= 500 or not use.image.isprintable() or "{{" in use.image:
            raise use.refused("the image must be a name of up to 500 characters")
        seen[key] = use


def _arguments(use: Use) -> dict[str, object]:
    """The values that the component is given: those that it takes, in their types; None stands for its default."""
    component = use.component
    for name in use.arguments:
        if name in component.inputs or name in component.outputs:
            raise use.refused(f"{name!r} is an artifact: it comes from a component, not from args")
    given: dict[str, object] = {}
    for name, parameter in component.parameters.items():
        value = use.arguments.get(name)
        value = parameter.default if value is None else value
        if value is None and not parameter.optional:
            raise use.refused(f"the argument {name!r} is missing ({parameter.kind})")
        if value is not None:
            given[name] = _typed(use, name, value)
    return given


def _typed(use: Use, name: str, value: object) -> object:
    try:
        check_json(value, root=name)
        return coerce(value, use.component.parameters[name].kind)
    except InvalidPipeline as error:
        raise use.refused(f"the argument {error}") from error
    except ValueError as error:
        raise use.refused(f"the argument {name!r} {error}") from error


def _producers(uses: Sequence[Use]) -> dict[str, str]:
    return {name: use.component.function for use in uses for name in use.component.outputs}


def _step(use: Use, settled: Settled, producers: Mapping[str, str]) -> Step:
    component = use.component
    for name in component.inputs:
        if name not in producers:
            known = ", ".join(sorted(producers)) or "none"
            raise UnreadableScript(
                Part.COMPONENTS,
                component.file.file,
                f"no component has an output {name!r}; outputs: {known[:300]}",
                line=component.line,
            )
    return Step(
        key=key_of(component.function),
        use=use,
        source=settled.source,
        producers={name: key_of(producers[name]) for name in component.inputs},
    )


def _check_acyclic(steps: Sequence[Step]) -> None:
    upstream = {step.key: tuple(sorted(set(step.producers.values()))) for step in steps}
    order = topological_order(upstream)
    if len(order) < len(steps):
        cycle = " needs ".join(find_cycle(upstream, order)[:20])
        raise UnreadableScript(Part.PIPELINE, _SCRIPT, f"the components need each other: {cycle}")


def _kind(use: Use, metadata: Metadata) -> TaskKind:
    name = dashed(use.component.function)
    if name in metadata.unknown_kinds:
        return TaskKind.OTHER
    return metadata.kinds.get(name) or kind_from_arguments(use.component)


def _hints(use: Use, settled: Settled, metadata: Metadata) -> dict[str, object]:
    kind = _kind(use, metadata)
    dataset = dict(dataset_hint(metadata, kind))
    if settled.dataset is not None:
        own = dataset_name(metadata) == settled.dataset
        dataset = {**(dataset if own else {}), "name": settled.dataset}
    model = (
        model_hint(metadata) if kind in (TaskKind.TRAINING, TaskKind.EVALUATION, TaskKind.INFERENCE) else {}
    )
    hints: dict[str, object] = {"kind": kind.value, "dataset": dataset, "model": model}
    return {name: value for name, value in hints.items() if value}


def _all_notes(uses: Sequence[Use], settled: Sequence[Settled], metadata: Metadata) -> Iterator[str]:
    for use, one in zip(uses, settled, strict=True):
        yield from one.notes
        function = use.component.function
        yield from (
            f"{function}: args has {name!r}, which the function does not take; it is left out"
            for name in use.arguments
            if name not in use.component.parameters
        )
        name = dashed(function)
        if name in metadata.unknown_kinds:
            yield f"{function}: its type {metadata.unknown_kinds[name][:80]!r} is none that is known; it counts as other"
        elif name not in metadata.kinds:
            kind = _kind(use, metadata)
            yield f"{function}: the metadata sent has no type for it; by its arguments it counts as {kind}"
    yield from _shared_outputs(uses)


def _shared_outputs(uses: Sequence[Use]) -> Iterator[str]:
    makers: dict[str, list[str]] = {}
    for use in uses:
        for name in use.component.outputs:
            makers.setdefault(name, []).append(use.component.function)
    for name, functions in makers.items():
        if len(functions) > 1:
            yield f"several components have the output {name!r}; the one added last is taken: {functions[-1]}"
