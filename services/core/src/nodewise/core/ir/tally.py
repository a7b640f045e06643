"""How many tasks a pipeline has, counted in the bare document: what is far too large is refused before anything of it is read."""

from collections.abc import Mapping
from typing import Final, cast

from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir.guard import at

HOW_TO_SHRINK: Final = (
    "split it, or loop over fewer items; the limit is NODEWISE_MAX_TASKS_PER_RUN of the gateway"
)
_LOOPS: Final = ("parameterIterator", "parameter_iterator", "artifactIterator", "artifact_iterator")


def check_tally(document: Mapping[str, object], limit: int) -> None:
    """Refuse a pipeline whose tasks, each sub-pipeline's counted once, are more than a run may have.

    Cheap: O(limit), and once the names where it is refused. What is in loops is left to the reader, which knows how often they
    run: not at all, perhaps.

    Args:
        document: anything at all; what is no pipeline is left to the reader, too.
        limit: how many tasks and iterations a run may have.

    Raises:
        InvalidPipeline: names the first task that is too many.
    """
    components, total = _object(document, "components"), 0
    seen: set[str] = set()
    pending = [("root", _object(document, "root"))]
    while pending:
        path, component = pending.pop()
        tasks = _object(_object(component, "dag"), "tasks")
        if total + len(tasks) > limit:
            first = sorted(map(str, tasks))[limit - total]
            raise too_many(at(at(path, "dag.tasks"), first), limit)
        total += len(tasks)
        called = {_called(task) for task in tasks.values()} - seen
        seen |= called
        pending += [(at("components", name), _object(components, name)) for name in sorted(called)]


def too_many(path: str, limit: int) -> InvalidPipeline:
    """The refusal of a pipeline that could never be a run."""
    rule = f"the pipeline comes to more than {limit} tasks and iterations"
    return InvalidPipeline(path, f"{rule}: {HOW_TO_SHRINK}")


def _called(task: object) -> str:
    """The component that a task certainly runs; empty where it may not, or where there is none."""
    if not isinstance(task, dict) or any(key in task for key in _LOOPS):
        return ""
    name = _object(task, "componentRef", "component_ref").get("name")
    return name if isinstance(name, str) else ""


def _object(value: object, *keys: str) -> Mapping[str, object]:
    """What an object has under the first of these keys that it has, if that is an object; else an empty one."""
    given = value if isinstance(value, Mapping) else {}
    inner = next((given[key] for key in keys if key in given), None)
    return cast("Mapping[str, object]", inner) if isinstance(inner, dict) else {}
