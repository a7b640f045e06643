"""Pipelines as KFP graph components, those that are steps of others included."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kfp import dsl
from kfp.dsl import pipeline_context

from nodewise.sdk.dsl.building import building
from nodewise.sdk.dsl.errors import PipelineError, place_in, place_of_caller
from nodewise.sdk.dsl.handle import TaskHandle
from nodewise.sdk.dsl.kfp_builder import KfpBuilder
from nodewise.sdk.dsl.kfp_types import kfp_signature
from nodewise.sdk.dsl.kfp_values import as_output, is_of
from nodewise.sdk.dsl.pipeline import Pipeline
from nodewise.sdk.dsl.signature import SINGLE_OUTPUT, Output, Role
from nodewise.sdk.dsl.unknown import TaskOutput

if TYPE_CHECKING:
    from nodewise.sdk.dsl.task import AnyTask


class Graphs:
    """The components of the pipelines that take part in one compilation, each built once; and all tasks in them."""

    def __init__(self) -> None:
        self.tasks: set[AnyTask] = set()
        self._built: dict[Pipeline, Any] = {}
        self._open: list[Pipeline] = []
        self._around: Any = None

    def component_of(self, pipeline: Pipeline) -> Any:
        """The component.

        Raises:
            PipelineError: the pipeline is written in a way that cannot run; names the user's line.
        """
        if pipeline in self._open:
            raise PipelineError(place_of_caller(), f"pipeline {pipeline.name!r} cannot be a step of itself")
        if pipeline not in self._built:
            self._open.append(pipeline)
            with _set_aside() as self._around:
                self._built[pipeline] = self._build(pipeline)
            self._open.pop()
        return self._built[pipeline]

    def _build(self, pipeline: Pipeline) -> Any:
        decorate = dsl.pipeline(name=pipeline.name, description=pipeline.description or None)
        try:
            return decorate(self._traced(pipeline))
        except PipelineError:
            raise
        except Exception as error:
            # Whatever the user's function raises while it is traced, or KFP while it compiles.
            place = place_in(pipeline.place.file, error.__traceback__)
            place = place if place.line else pipeline.place
            text = f"{type(error).__name__}: {error}"
            raise PipelineError(place, f"pipeline {pipeline.name!r}: {text}") from error

    def _traced(self, pipeline: Pipeline) -> Callable[..., Any]:
        """The pipeline's function as KFP calls it: positionally, with one channel for each parameter."""
        outer = self._around

        def trace(*channels: Any) -> Any:
            builder = KfpBuilder(self)
            with building(builder), _numbered_on_from(outer):
                said = pipeline.function(**_parameters(pipeline, channels))
                builder.finish()
                return _results(pipeline, said, builder)

        trace.__name__ = pipeline.function.__name__
        trace.__signature__ = kfp_signature(pipeline.signature, Role.PIPELINE)  # type: ignore[attr-defined]
        return trace


@contextmanager
def _numbered_on_from(outer: Any) -> Iterator[None]:
    """Number the blocks of the pipeline that is being traced on from those of the one around it.

    KFP's compiler takes blocks of both that have the same number for one component, where one of them is inside another block.
    """
    current = pipeline_context.Pipeline.get_default_pipeline()
    if outer is not None:
        current._group_id = outer._group_id
    yield
    if outer is not None:
        outer._group_id = current._group_id


@contextmanager
def _set_aside() -> Iterator[Any]:
    """Let KFP build another pipeline while it builds one: it keeps the current one in a class attribute, and refuses two.

    Gives the current one.
    """
    current = pipeline_context.Pipeline._default_pipeline
    pipeline_context.Pipeline._default_pipeline = None
    try:
        yield current
    finally:
        pipeline_context.Pipeline._default_pipeline = current


def _parameters(pipeline: Pipeline, channels: tuple[Any, ...]) -> dict[str, TaskOutput]:
    return {
        name: as_output(channel, f"the parameter {name!r} of pipeline {pipeline.name!r}", ())
        for name, channel in zip(pipeline.signature.inputs, channels, strict=True)
    }


def _results(pipeline: Pipeline, said: Any, builder: KfpBuilder) -> dict[str, Any] | None:
    outputs = pipeline.signature.returned
    if not outputs:
        if said is not None:
            raise _wrong(pipeline, "returns something: say what with `->`")
        return None
    values = [said] if [output.name for output in outputs] == [SINGLE_OUTPUT] else said
    if not isinstance(values, list | tuple) or len(values) != len(outputs):
        names = ", ".join(output.name for output in outputs)
        raise _wrong(pipeline, f"must return {len(outputs)} outputs: {names}")
    return {
        output.name: _result(pipeline, output, value, builder)
        for output, value in zip(outputs, values, strict=True)
    }


def _result(pipeline: Pipeline, wanted: Output, value: Any, builder: KfpBuilder) -> Any:
    output = value.output if isinstance(value, TaskHandle) else value
    if not isinstance(output, TaskOutput) or output._origin.channel.task_name is None:
        shown = output._subject() if isinstance(output, TaskOutput) else repr(output)
        raise _wrong(pipeline, f"returns outputs of its tasks, not {shown}")
    channel = builder.returned(output)
    if not is_of(wanted, channel):
        kind = f"list[{wanted.type.__name__}]" if wanted.many else wanted.type.__name__
        raise _wrong(pipeline, f"says that {wanted.name!r} is {kind}, but {output._subject()} is none")
    return channel


def _wrong(pipeline: Pipeline, rule: str) -> PipelineError:
    return PipelineError(pipeline.place, f"pipeline {pipeline.name!r} {rule}")
