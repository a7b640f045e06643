"""Names of nodes in Argo's workflow, read as paths of tasks. Pure.

Argo's name is the unique path of a node through the templates that KFP's compiler makes, for example
`wf.root.exit-handler-1.for-loop-3.iteration-iterations(1:1).iteration-item.train.executor(0)`, which is the first
attempt at `exit-handler-1.for-loop-3[1].train`.
"""

import re
from dataclasses import dataclass
from typing import Final

from nodewise.core.model.ids import TaskPath

_ITERATION: Final = re.compile(r"iteration-iterations\((\d+)(?::.*)?\)")
_EXECUTOR: Final = re.compile(r"executor(?:\((\d+)\))?")
_SCAFFOLDING: Final = frozenset({"root", "iteration-item", "iteration-iterations"})
_TRIED: Final = re.compile(r"(.+)\((\d+)\)")
_INDEX: Final = re.compile(r"\[\d+\]|~\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlace:
    """Where a node of Argo's belongs. `attempt` counts from 1, and is None where the node is no attempt.

    `executor`: the node is what runs the task's own program (all attempts of it, where `attempt` is None).
    """

    path: TaskPath
    executor: bool = False
    attempt: int | None = None


def place_of(name: str, workflow: str) -> NodePlace | None:
    """The place of a node; None for what belongs to no task: the workflow itself, its root."""
    if not name.startswith(f"{workflow}."):
        return None
    segments = name[len(workflow) + 1 :].split(".")
    match = _EXECUTOR.fullmatch(segments[-1])
    path = _path(segments[:-1] if match else segments)
    if not path:
        return None
    if match is None:
        return NodePlace(path=TaskPath(path))
    index = match.group(1)
    return NodePlace(path=TaskPath(path), executor=True, attempt=None if index is None else int(index) + 1)


def in_the_ir(path: str) -> str:
    """The path without the numbers of iterations and of tries: which task of the IR it is."""
    return _INDEX.sub("", path)


def _path(segments: list[str]) -> str:
    parts: list[str] = []
    for segment in segments:
        iteration = _ITERATION.fullmatch(segment)
        if iteration and parts:
            parts[-1] += f"[{iteration.group(1)}]"
        elif segment == "onExit" and parts:
            # An exit task hangs on the task that it waits for, but is its sibling in the IR.
            parts.pop()
        elif segment not in _SCAFFOLDING:
            parts.append(_tried(segment))
    return ".".join(parts)


def _tried(segment: str) -> str:
    """A sub-pipeline that is tried again has another path each time: `inner`, then `inner~2`."""
    match = _TRIED.fullmatch(segment)
    if match is None:
        return segment
    name, index = match.group(1), int(match.group(2))
    return name if index == 0 else f"{name}~{index + 1}"
