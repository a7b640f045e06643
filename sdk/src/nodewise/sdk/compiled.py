"""Compiled pipelines: KFP's IR and its platform section, as plain JSON."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nodewise.core.errors import InvalidPipeline
from nodewise.sdk.dsl.building import building
from nodewise.sdk.dsl.errors import PipelineError, place_in
from nodewise.sdk.dsl.pipeline import Pipeline
from nodewise.sdk.dsl.unknown import TaskOutput

_PLATFORM: Final = "nodewise"
_RUNTIME_VARIABLE: Final = "_KFP_RUNTIME"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledPipeline:
    """A pipeline as data: what is submitted, and what plain KFP runs too.

    `platform_spec` is `{"platforms": {...}}`, or None when there is nothing to say.
    """

    pipeline_spec: dict[str, Any]
    platform_spec: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return str(self.pipeline_spec.get("pipelineInfo", {}).get("name", ""))

    def write(self, path: str | Path) -> Path:
        """Write it for others to read: YAML with one document, or two with a platform section; `.json` one object.

        Returns:
            The path.
        """
        file = Path(path)
        file.write_text(self._json() if file.suffix == ".json" else self._yaml(), encoding="utf-8")
        return file

    def _yaml(self) -> str:
        import yaml  # noqa: PLC0415 (not needed to submit)

        documents = [self.pipeline_spec, *([self.platform_spec] if self.platform_spec else [])]
        return yaml.safe_dump_all(documents, sort_keys=True, allow_unicode=True, width=110)

    def _json(self) -> str:
        document = {"pipeline_spec": self.pipeline_spec, "platform_spec": self.platform_spec}
        return json.dumps(document if self.platform_spec else self.pipeline_spec, indent=1)


def compile(target: object) -> CompiledPipeline:  # noqa: A001 (the word for it)
    """Compile a pipeline of ours, or take what KFP has compiled.

    Args:
        target: a `@pipeline`, a KFP `@dsl.pipeline` or component, or a `CompiledPipeline` (returned as it is).

    Raises:
        PipelineError: the pipeline is written in a way that cannot run; names the user's file and line.
        InvalidPipeline: it is nothing of the kind.
    """
    if isinstance(target, CompiledPipeline):
        return target
    if isinstance(target, Pipeline):
        return _compile(target)
    if is_kfp_pipeline(target):
        return _from_kfp(target)
    raise InvalidPipeline("pipeline_spec", f"a {type(target).__name__} is no pipeline: use @pipeline")


def is_kfp_pipeline(target: object) -> bool:
    """Whether it is a component or pipeline of KFP's SDK. Does not import kfp."""
    kinds = type(target).__mro__
    return any(kind.__name__ == "BaseComponent" and kind.__module__.startswith("kfp.") for kind in kinds)


def _compile(pipeline: Pipeline) -> CompiledPipeline:
    if os.environ.get(_RUNTIME_VARIABLE) == "true":
        raise PipelineError(
            pipeline.place, f"cannot compile: {_RUNTIME_VARIABLE} is set, so KFP leaves its compiler out"
        )
    from kfp import dsl  # noqa: PLC0415 (a second to import)

    try:
        traced = dsl.pipeline(name=pipeline.name, description=pipeline.description or None)(_traced(pipeline))
    except PipelineError:
        raise
    except Exception as error:
        # Whatever the user's function raises while it is traced, or KFP while it compiles.
        place = place_in(pipeline.place.file, error.__traceback__)
        place = place if place.line else pipeline.place
        raise PipelineError(place, f"pipeline {pipeline.name!r}: {type(error).__name__}: {error}") from error
    compiled = _from_kfp(traced)
    return _with_config(compiled, pipeline.hints)


def _traced(pipeline: Pipeline) -> Callable[..., None]:
    """The pipeline's function as KFP calls it: positionally, with one channel for each parameter."""
    from nodewise.sdk.dsl.kfp_builder import KfpBuilder, kfp_signature  # noqa: PLC0415 (imports kfp)

    def trace(*channels: Any) -> None:
        with building(KfpBuilder()):
            pipeline.function(**_parameters(pipeline, channels))

    trace.__name__ = pipeline.function.__name__
    trace.__signature__ = kfp_signature(pipeline.signature)  # type: ignore[attr-defined]
    return trace


def _parameters(pipeline: Pipeline, channels: Sequence[Any]) -> dict[str, TaskOutput]:
    return {
        name: TaskOutput(channel, f"the parameter {name!r} of pipeline {pipeline.name!r}")
        for name, channel in zip(pipeline.signature.inputs, channels, strict=True)
    }


def _from_kfp(component: Any) -> CompiledPipeline:
    from google.protobuf import json_format  # noqa: PLC0415

    platform_spec = json_format.MessageToDict(component.platform_spec)
    return CompiledPipeline(
        pipeline_spec=json_format.MessageToDict(component.pipeline_spec),
        platform_spec=platform_spec or None,
    )


def _with_config(compiled: CompiledPipeline, hints: dict[str, Any]) -> CompiledPipeline:
    if not hints:
        return compiled
    platforms = dict((compiled.platform_spec or {}).get("platforms", {}))
    platforms[_PLATFORM] = {**platforms.get(_PLATFORM, {}), "config": hints}
    return CompiledPipeline(pipeline_spec=compiled.pipeline_spec, platform_spec={"platforms": platforms})
