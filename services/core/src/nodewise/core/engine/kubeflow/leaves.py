"""The leaf tasks of an IR and their executor labels. Pure.

KFP keys placement by executor label. Its compiler gives each task a label of its own; other writers of IR need not, so
what two tasks share is copied until each leaf has its own component and label.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nodewise.core.errors import InvalidPipeline

MOST_TASKS: Final = 10_000
DEEPEST: Final = 32

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A leaf task: its executor label, and whether it stands in a loop.

    `open_loop`: in one of which only the run itself will show how many rounds it has.
    """

    label: str
    in_loop: bool
    open_loop: bool = False


def leaves(ir: Mapping[str, Any]) -> Mapping[str, Leaf]:
    """The leaf tasks by path in the IR (`exit-handler-1.train`)."""
    return dict(_leaves(ir.get("components") or {}, ir.get("root") or {}, _Around()))


def run_once(ir: Mapping[str, Any]) -> frozenset[str]:
    """The paths of the leaf tasks that stand in no loop."""
    return frozenset(path for path, leaf in leaves(ir).items() if not leaf.in_loop)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """What is known of a DAG from outside: its path, with a dot behind it, and the loops that it stands in."""

    prefix: str = ""
    in_loop: bool = False
    open_loop: bool = False

    def inside(self, key: str, task: Mapping[str, Any]) -> "_Around":
        loops = [task[name] for name in ("parameterIterator", "artifactIterator") if name in task]
        known = [isinstance(loop, dict) and "raw" in (loop.get("items") or {}) for loop in loops]
        return _Around(
            prefix=f"{self.prefix}{key}.",
            in_loop=self.in_loop or bool(loops),
            open_loop=self.open_loop or not all(known),
        )


def _leaves(
    components: Mapping[str, Any], component: Mapping[str, Any], around: _Around
) -> Iterator[tuple[str, Leaf]]:
    for key, task in sorted(_tasks(component).items()):
        inner = components.get(_component_name(task)) or {}
        own = around.inside(key, task)
        if "executorLabel" in inner:
            label = str(inner["executorLabel"])
            yield own.prefix[:-1], Leaf(label=label, in_loop=own.in_loop, open_loop=own.open_loop)
        else:
            yield from _leaves(components, inner, own)


def unshared(ir: Mapping[str, Any], platforms: Mapping[str, Any]) -> tuple[Document, Document]:
    """Copies of IR and platforms in which no two tasks share a component or an executor.

    Raises:
        InvalidPipeline: a component contains itself, or the tasks are more than `MOST_TASKS`, counted where they run.
    """
    walk = _Unsharing(copy.deepcopy(dict(ir)), copy.deepcopy(dict(platforms)))
    walk.visit(walk.ir.get("root") or {}, "root", 0)
    return walk.ir, walk.platforms


class _Unsharing:
    def __init__(self, ir: Document, platforms: Document) -> None:
        self.ir, self.platforms = ir, platforms
        self._components: Document = ir.setdefault("components", {})
        self._seen: set[str] = set()
        self._labels: set[str] = set()
        self._count = 0

    def visit(self, component: Document, path: str, depth: int) -> None:
        for key, task in sorted(_tasks(component).items()):
            place = f"{path}.dag.tasks.{key}"
            self._count += 1
            if depth > DEEPEST or self._count > MOST_TASKS:
                raise InvalidPipeline(place, "its component contains itself, or the tasks are too many")
            name = _component_name(task)
            if name not in self._components:
                raise InvalidPipeline(f"{place}.componentRef.name", f"no component named {name[:80]!r}")
            name = self._own_component(name)
            task["componentRef"] = {"name": name}
            own = self._components[name]
            if "executorLabel" in own:
                own["executorLabel"] = self._own_label(str(own["executorLabel"]))
            else:
                self.visit(own, f"components.{name}", depth + 1)

    def _own_component(self, name: str) -> str:
        own = name
        if name in self._seen:
            own = _free_name(name, self._components)
            self._components[own] = copy.deepcopy(self._components[name])
        self._seen.add(own)
        return own

    def _own_label(self, label: str) -> str:
        sections = [self.ir.get("deploymentSpec"), *(_deployment(one) for one in self.platforms.values())]
        executors = [one["executors"] for one in sections if isinstance(one, dict) and one.get("executors")]
        own = label
        if label in self._labels:
            own = _free_name(label, {name for section in executors for name in section} | self._labels)
            for section in executors:
                if label in section:
                    section[own] = copy.deepcopy(section[label])
        self._labels.add(own)
        return own


def _free_name(name: str, taken: Any) -> str:
    number = 2
    while f"{name}-copy-{number}" in taken:
        number += 1
    return f"{name}-copy-{number}"


def _tasks(component: Mapping[str, Any]) -> Mapping[str, Any]:
    return (component.get("dag") or {}).get("tasks") or {}


def _component_name(task: Mapping[str, Any]) -> str:
    return str((task.get("componentRef") or {}).get("name", ""))


def _deployment(platform: Any) -> Any:
    return platform.get("deploymentSpec") if isinstance(platform, dict) else None
