"""Pipelines out of files: a user's Python, or what was compiled before."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from nodewise.core.errors import UnknownName
from nodewise.sdk.compiled import CompiledPipeline, compile, is_kfp_pipeline  # noqa: A004
from nodewise.sdk.dsl.errors import PipelineError, Place, place_in
from nodewise.sdk.dsl.pipeline import Pipeline
from nodewise.sdk.files import COMPILED_SUFFIXES, load_compiled


def load_pipelines(path: Path) -> dict[str, Any]:
    """Run a user's Python file and collect the pipelines in it: ours and KFP's, by variable name.

    Modules beside the file can be imported by it.

    Raises:
        PipelineError: the file cannot be read, or raises; names it and the line.
    """
    return {name: value for name, value in vars(_run(Path(path))).items() if _is_pipeline(value)}


def load_submission(target: str) -> CompiledPipeline:
    """What a user names on the command line: `file.py:name`, `file.py` with one pipeline, or a compiled file.

    Raises:
        PipelineError: the file is wrong; names it and the line.
        UnknownName: no pipeline of that name, or several and none named; says which there are.
        InvalidPipeline: a compiled file that holds no pipeline.
    """
    path = Path(target)
    if path.suffix.lower() in COMPILED_SUFFIXES:
        return load_compiled(path)
    file, colon, name = target.rpartition(":")
    if colon and file.endswith(".py"):
        return compile(_named(Path(file), name))
    if path.suffix != ".py" and not path.is_dir():
        raise PipelineError(
            Place(file=target), "give a file.py, a file.py:pipeline, or a compiled .yaml or .json"
        )
    return compile(_only(path))


def _named(path: Path, name: str) -> Any:
    """A pipeline by its variable or its own name; or a component of KFP's by its variable: a pipeline of one step."""
    module = vars(_run(path))
    pipelines = {key: value for key, value in module.items() if _is_pipeline(value)}
    if name in pipelines:
        return pipelines[name]
    by_title = {getattr(pipeline, "name", ""): pipeline for pipeline in pipelines.values()}
    if name in by_title:
        return by_title[name]
    if is_kfp_pipeline(module.get(name)):
        return module[name]
    raise UnknownName("pipeline", name, sorted(pipelines) or [f"none in {path}"])


def _only(path: Path) -> Any:
    module = _run(path)
    pipelines = {key: value for key, value in vars(module).items() if _is_pipeline(value)}
    if not pipelines:
        raise PipelineError(Place(file=str(path)), _nothing_in(path, module))
    own = {key: value for key, value in pipelines.items() if _is_own(value, module)} or pipelines
    distinct = {id(pipeline): pipeline for pipeline in own.values()}
    if len(distinct) > 1:
        choices = ", ".join(f"{path}:{name}" for name in own)
        raise PipelineError(Place(file=str(path)), f"has {len(distinct)} pipelines; choose one of {choices}")
    return next(iter(distinct.values()))


def _nothing_in(path: Path, module: ModuleType) -> str:
    if not path.read_text(encoding="utf-8").strip():
        return "is empty"
    components = [name for name, value in vars(module).items() if is_kfp_pipeline(value)]
    if components:
        return f"has no pipeline, but components: name one of them, for example {path}:{components[0]}"
    return "has no pipeline: put @pipeline on a function"


def _is_own(value: Any, module: ModuleType) -> bool:
    """Whether it was written in this file, not imported by it."""
    function = value.function if isinstance(value, Pipeline) else value.pipeline_func
    return getattr(function, "__module__", None) == module.__name__


def _is_pipeline(value: object) -> bool:
    return isinstance(value, Pipeline) or _is_kfp_graph(value)


def _is_kfp_graph(value: object) -> bool:
    return is_kfp_pipeline(value) and type(value).__name__ == "GraphComponent"


def _run(path: Path) -> ModuleType:
    file = path.resolve()
    if file.is_dir():
        raise PipelineError(Place(file=str(path)), "is a directory: name a file in it")
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
