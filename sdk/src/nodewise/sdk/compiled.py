"""Compiled pipelines: KFP's IR and its platform section, as plain JSON."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nodewise.core.errors import InvalidPipeline
from nodewise.sdk.dsl.errors import PipelineError
from nodewise.sdk.dsl.pipeline import Pipeline

if TYPE_CHECKING:
    from nodewise.sdk.dsl.task import AnyTask

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
        file.write_text(self._json() if file.suffix == ".json" else self.yaml(), encoding="utf-8")
        return file

    def yaml(self) -> str:
        """As YAML that plain KFP reads: one document, or two with a platform section."""
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
        return compile_with_tasks(target)[0]
    if is_kfp_pipeline(target):
        return _from_kfp(target)
    raise InvalidPipeline("pipeline_spec", f"a {type(target).__name__} is no pipeline: use @pipeline")


def is_kfp_pipeline(target: object) -> bool:
    """Whether it is a component or pipeline of KFP's SDK. Does not import kfp."""
    kinds = type(target).__mro__
    return any(kind.__name__ == "BaseComponent" and kind.__module__.startswith("kfp.") for kind in kinds)


def compile_with_tasks(pipeline: Pipeline) -> "tuple[CompiledPipeline, frozenset[AnyTask]]":
    """Compile a pipeline of ours; and the tasks that it calls, itself or in pipelines that are steps of it.

    Raises:
        PipelineError: as `compile` does.
    """
    if os.environ.get(_RUNTIME_VARIABLE) == "true":
        raise PipelineError(
            pipeline.place, f"cannot compile: {_RUNTIME_VARIABLE} is set, so KFP leaves its compiler out"
        )
    artifacts = [item.name for item in pipeline.signature.arguments if item.is_artifact]
    if artifacts:
        raise PipelineError(
            pipeline.place,
            f"pipeline {pipeline.name!r} cannot take the artifact {artifacts[0]!r} but as a step of another pipeline: "
            "what is submitted takes plain values",
        )
    from nodewise.sdk.dsl.kfp_graphs import Graphs  # noqa: PLC0415 (imports kfp, which takes a second)

    graphs = Graphs()
    compiled = _from_kfp(graphs.component_of(pipeline))
    _say_what_is_not_cached(compiled.pipeline_spec)
    return _with_config(compiled, pipeline.hints), frozenset(graphs.tasks)


def _from_kfp(component: Any) -> CompiledPipeline:
    from google.protobuf import json_format  # noqa: PLC0415

    platform_spec = json_format.MessageToDict(component.platform_spec)
    return CompiledPipeline(
        pipeline_spec=json_format.MessageToDict(component.pipeline_spec),
        platform_spec=platform_spec or None,
    )


def _say_what_is_not_cached(pipeline_spec: dict[str, Any]) -> None:
    """Write `enableCache: false` out, which protobuf leaves away: whoever reads it should not have to know that."""
    for part in (pipeline_spec["root"], *pipeline_spec.get("components", {}).values()):
        for task in part.get("dag", {}).get("tasks", {}).values():
            if task.get("cachingOptions") == {}:
                task["cachingOptions"] = {"enableCache": False}


def _with_config(compiled: CompiledPipeline, hints: dict[str, Any]) -> CompiledPipeline:
    if not hints:
        return compiled
    platforms = dict((compiled.platform_spec or {}).get("platforms", {}))
    platforms[_PLATFORM] = {**platforms.get(_PLATFORM, {}), "config": hints}
    return CompiledPipeline(pipeline_spec=compiled.pipeline_spec, platform_spec={"platforms": platforms})
