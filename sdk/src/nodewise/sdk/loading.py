"""Pipelines out of files: a user's Python, or what was compiled before."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from nodewise.core.errors import InvalidPipeline, UnknownName
from nodewise.sdk.compiled import CompiledPipeline, compile, is_kfp_pipeline  # noqa: A004
from nodewise.sdk.dsl.errors import PipelineError, Place, place_in
from nodewise.sdk.dsl.pipeline import Pipeline

_COMPILED: Final = frozenset({".yaml", ".yml", ".json"})


def load_pipelines(path: Path) -> dict[str, Any]:
    """Run a user's Python file and collect the pipelines in it: ours and KFP's, by variable name.

    Modules beside the file can be imported by it.

    Raises:
        PipelineError: the file cannot be read, or raises; names it and the line.
    """
    module = _run(Path(path))
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, Pipeline) or _is_kfp_graph(value)
    }


def load_submission(target: str) -> CompiledPipeline:
    """What a user names on the command line: `file.py:name`, `file.py` with one pipeline, or a compiled file.

    Raises:
        PipelineError: the file is wrong; names it and the line.
        UnknownName: no pipeline of that name, or several and none named; says which there are.
        InvalidPipeline: a compiled file that holds no pipeline.
    """
    path = Path(target)
    if path.suffix.lower() in _COMPILED:
        return _load_compiled(path)
    file, colon, name = target.rpartition(":")
    if colon and file.endswith(".py"):
        return compile(_named(Path(file), name))
    if path.suffix != ".py":
        raise PipelineError(
            Place(file=target), "give a file.py, a file.py:pipeline, or a compiled .yaml or .json"
        )
    return compile(_only(path))


def _named(path: Path, name: str) -> Any:
    pipelines = load_pipelines(path)
    if name in pipelines:
        return pipelines[name]
    by_title = {getattr(pipeline, "name", ""): pipeline for pipeline in pipelines.values()}
    if name in by_title:
        return by_title[name]
    raise UnknownName("pipeline", name, sorted(pipelines) or [f"none in {path}"])


def _only(path: Path) -> Any:
    pipelines = load_pipelines(path)
    if not pipelines:
        raise PipelineError(Place(file=str(path)), "has no pipeline: put @pipeline on a function")
    distinct = {id(pipeline): pipeline for pipeline in pipelines.values()}
    if len(distinct) > 1:
        choices = ", ".join(f"{path}:{name}" for name in pipelines)
        raise PipelineError(Place(file=str(path)), f"has {len(distinct)} pipelines; choose one of {choices}")
    return next(iter(distinct.values()))


def _is_kfp_graph(value: object) -> bool:
    return is_kfp_pipeline(value) and type(value).__name__ == "GraphComponent"


def _run(path: Path) -> ModuleType:
    file = path.resolve()
    if not file.is_file():
        raise PipelineError(Place(file=str(path)), "there is no such file")
    name = f"_nodewise_{file.stem}_{abs(hash(str(file))):x}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise PipelineError(Place(file=str(path)), "is no Python file")
    module = importlib.util.module_from_spec(spec)
    with _importable(file.parent, module):
        try:
            spec.loader.exec_module(module)
        except PipelineError:
            raise
        except SyntaxError as error:
            raise PipelineError(
                Place(file=error.filename or str(file), line=error.lineno), f"SyntaxError: {error.msg}"
            ) from error
        except Exception as error:
            place = place_in(str(file), error.__traceback__)
            raise PipelineError(place, f"{type(error).__name__}: {error}") from error
    return module


@contextmanager
def _importable(folder: Path, module: ModuleType) -> Iterator[None]:
    """While the file runs: its folder on the path as for a script, and the module known (dataclasses look it up)."""
    sys.path.insert(0, str(folder))
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


def _load_compiled(path: Path) -> CompiledPipeline:
    documents = _documents(path)
    if not 0 < len(documents) <= 2 or not all(isinstance(document, dict) for document in documents):
        raise InvalidPipeline(str(path), "must hold a pipeline, and after it at most a platform section")
    pipeline_spec = documents[0]
    platform_spec = documents[1] if len(documents) == 2 else None
    if "pipeline_spec" in pipeline_spec:
        platform_spec = pipeline_spec.get("platform_spec") or platform_spec
        pipeline_spec = pipeline_spec["pipeline_spec"]
    if not isinstance(pipeline_spec, dict) or not {"root", "schemaVersion"} & set(pipeline_spec):
        raise InvalidPipeline(str(path), "is no compiled pipeline: it has no root")
    return CompiledPipeline(pipeline_spec=pipeline_spec, platform_spec=platform_spec)


def _documents(path: Path) -> list[Any]:
    import yaml  # noqa: PLC0415 (not needed for Python files)

    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".json":
            return [json.loads(text)]
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return list(yaml.load_all(text, Loader=loader))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidPipeline(str(path), f"cannot be read: {error}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InvalidPipeline(str(path), f"is no YAML or JSON: {reason[:300]}") from error
