"""Compiled files: KFP's YAML with one document or two, JSON, and a component alone."""

import json
from pathlib import Path
from typing import Any, Final

from nodewise.core.errors import InvalidPipeline
from nodewise.sdk.compiled import CompiledPipeline, compile  # noqa: A004

COMPILED_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
_SPEC_KEYS: Final = ("pipeline_spec", "pipelineSpec")
_PLATFORM_KEYS: Final = ("platform_spec", "platformSpec")


def load_compiled(path: Path) -> CompiledPipeline:
    """A pipeline as somebody compiled it.

    Raises:
        InvalidPipeline: the file holds none; names it and says what it holds.
    """
    documents = [document for document in _documents(path) if document is not None]
    if not documents:
        raise InvalidPipeline(str(path), "is empty")
    if len(documents) > 2 or not all(isinstance(document, dict) for document in documents):
        raise InvalidPipeline(str(path), "must hold a pipeline, and after it at most a platform section")
    first, platform_spec = documents[0], documents[1] if len(documents) == 2 else None
    _refuse_kfp_1(first, path)
    if "implementation" in first:
        return _component(path)
    pipeline_spec = _part(first, _SPEC_KEYS, first)
    platform_spec = _part(first, _PLATFORM_KEYS, platform_spec)
    if not isinstance(pipeline_spec, dict) or not {"root", "schemaVersion"} & set(pipeline_spec):
        raise InvalidPipeline(str(path), "is no compiled pipeline: it has no root")
    if platform_spec is not None and (
        not isinstance(platform_spec, dict) or "platforms" not in platform_spec
    ):
        raise InvalidPipeline(str(path), "its second document is no platform section: it has no platforms")
    return CompiledPipeline(pipeline_spec=pipeline_spec, platform_spec=platform_spec)


def _part(document: dict[str, Any], keys: tuple[str, ...], default: Any) -> Any:
    return next((document[key] for key in keys if document.get(key)), default)


def _refuse_kfp_1(document: dict[str, Any], path: Path) -> None:
    if str(document.get("apiVersion", "")).startswith("argoproj.io/") or document.get("kind") == "Workflow":
        raise InvalidPipeline(
            str(path), "was compiled by KFP 1 (it is an Argo workflow): compile its Python source with KFP 2"
        )


def _component(path: Path) -> CompiledPipeline:
    """A component's own file, as KFP 1 wrote them: a pipeline of one step."""
    from kfp import components  # noqa: PLC0415 (a second to import)

    try:
        return compile(components.load_component_from_file(str(path)))
    except Exception as error:
        # KFP's reader raises whatever it comes across.
        raise InvalidPipeline(str(path), f"is no component that KFP can read: {str(error)[:300]}") from error


def _documents(path: Path) -> list[Any]:
    import yaml  # noqa: PLC0415 (not needed for Python files)

    try:
        text = path.read_text(encoding="utf-8")
        if not text.strip():
            return []
        if path.suffix.lower() == ".json":
            return [json.loads(text)]
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return list(yaml.load_all(text, Loader=loader))
    except IsADirectoryError as error:
        raise InvalidPipeline(str(path), "is a directory: name a file in it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidPipeline(str(path), f"cannot be read: {error}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InvalidPipeline(str(path), f"is no YAML or JSON: {reason[:300]}") from error
