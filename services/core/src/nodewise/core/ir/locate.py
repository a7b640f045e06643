"""From the path of a task in a run to its place in the pipeline, and to the tasks that it waits for.

A path names the steps from the root down, with `[3]` behind a loop for its fourth iteration and `~2` behind a sub-pipeline for its second
try: `exit-handler-1.for-loop-2[3].inner~2.train`.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from nodewise.core.ir.tree import Dag, Leaf, Program, Step
from nodewise.core.model.ids import TaskPath

_INSTANCE: Final = re.compile(r"(?:\[\d+\])?(?:~\d+)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A step, the DAG that it belongs to, and the path of that DAG's instance (empty for the pipeline itself)."""

    dag: Dag
    step: Step
    prefix: str


def locate(program: Program, path: TaskPath) -> Location | None:
    """Where a leaf task of a run stands; None where the pipeline has no such task."""
    dag, prefix = program.root, ""
    *around, last = path.split(".")
    for part in around:
        step = _step(dag, part)
        if step is None or not isinstance(step.component, Dag):
            return None
        dag, prefix = step.component, f"{prefix}{part}."
    step = _step(dag, last)
    return Location(dag=dag, step=step, prefix=prefix) if step is not None else None


def leaf_at(program: Program, path: TaskPath) -> Leaf | None:
    """The component of a leaf task of a run; None where the pipeline has no such task."""
    found = locate(program, path)
    return found.step.component if found and isinstance(found.step.component, Leaf) else None


def _step(dag: Dag, part: str) -> Step | None:
    return dag.by_name.get(_INSTANCE.sub("", part))


class Made:
    """The leaf tasks that a run has, found by the path of any step around them."""

    def __init__(self, paths: Iterable[TaskPath]) -> None:
        self._below: dict[str, list[TaskPath]] = {}
        self._characters: dict[str, int] = {}
        for path in paths:
            for step in _steps_around(path):
                self._below.setdefault(step, []).append(path)

    def below(self, step_path: str) -> tuple[TaskPath, ...]:
        """The leaf tasks of that step (itself, where it is one), in the order in which they were given."""
        return tuple(self._below.get(step_path, ()))

    def characters(self, step_path: str) -> int:
        """How many characters the paths of these have together."""
        if step_path not in self._characters:
            self._characters[step_path] = sum(map(len, self._below.get(step_path, ())))
        return self._characters[step_path]


def _steps_around(path: TaskPath) -> Iterable[str]:
    """The paths of the steps that a leaf task belongs to, itself included, each without its own iteration and try."""
    end = 0
    for part in path.split("."):
        yield path[:end] + _INSTANCE.sub("", part)
        end += len(part) + 1


def tried_again(paths: Collection[TaskPath]) -> set[TaskPath]:
    """Those of a run's leaf tasks that belong to a try of a sub-pipeline after which another one came."""
    begun = {around for path in paths for around in _dags_around(path)}
    return {path for path in paths if any(_next_try(around) in begun for around in _dags_around(path))}


def _dags_around(path: TaskPath) -> Iterable[str]:
    end = path.rfind(".")
    while end > 0:
        yield path[:end]
        end = path.rfind(".", 0, end)


def _next_try(path: str) -> str:
    before, _, number = path.rpartition("~")
    return f"{before}~{int(number) + 1}" if number.isdigit() and before else f"{path}~2"


def upstream_of(program: Program, path: TaskPath, made: Made) -> tuple[TaskPath, ...]:
    """The leaf tasks that a task waits for, as far as they exist.

    Where a sub-pipeline or loop before it has not begun, that one's own upstream stands for it.
    """
    place = locate(program, path)
    if place is None:
        return ()
    return tuple(dict.fromkeys(leaf for step in _begun_before(place, made) for leaf in made.below(step)))


def upstream_characters(program: Program, path: TaskPath, made: Made) -> int:
    """How many characters the names have that `upstream_of` gives, without making them."""
    place = locate(program, path)
    return 0 if place is None else sum(map(made.characters, _begun_before(place, made)))


def _begun_before(place: Location, made: Made) -> Iterable[str]:
    """The paths of the steps that it waits for and that have tasks, or of those before them."""
    waiting, seen = list(reversed(place.step.upstream)), set(place.step.upstream)
    while waiting:
        name = waiting.pop()
        path = f"{place.prefix}{name}"
        if made.below(path):
            yield path
        else:
            further = [up for up in place.dag.by_name[name].upstream if up not in seen]
            seen.update(further)
            waiting += reversed(further)
