"""Parts of a run of which no task was made: a branch that is not taken, a loop that is not begun. No row tells of them. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from nodewise.core.ir import Program, Rows, RunFacts, advance
from nodewise.core.ir.locate import leaf_at
from nodewise.core.ir.moves import CODES, Group
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import TaskPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A branch, loop or sub-pipeline without tasks: left out (SKIPPED, CANCELED, FAILED), or not begun (WAITING)."""

    path: TaskPath
    state: TaskState
    code: ReasonCode
    text: str

    def holds(self, task: str) -> bool:
        """Whether that is a path in it."""
        return task.startswith((f"{self.path}.", f"{self.path}["))


def parts_without_tasks(
    program: Program,
    parameters: Mapping[str, object],
    rows: Rows,
    *,
    facts: RunFacts,
    canceling: bool = False,
) -> Sequence[Part]:
    """The outermost of them, in the order of the pipeline; O(tasks + edges)."""
    found = advance(program, parameters, rows, facts=facts, canceling=canceling)
    made = set(_around(rows))
    return [part for group in found.groups if group.path not in made for part in _part(group)]


def part_of(parts: Iterable[Part], program: Program, task: str) -> Part | None:
    """The part that a task of the pipeline would be in; None: there is no such task, or it is in none of them."""
    if leaf_at(program, TaskPath(task)) is None:
        return None
    return next((part for part in parts if part.holds(task)), None)


def _part(group: Group) -> Iterator[Part]:
    code = CODES[group.cause] if group.cause is not None else _UNDECIDED.get(group.state)
    if code is not None:
        yield Part(path=group.path, state=group.state, code=code, text=group.reason)


_UNDECIDED: Final[Mapping[TaskState, ReasonCode]] = MappingProxyType(
    {
        TaskState.WAITING: ReasonCode.UPSTREAM_NOT_FINISHED,
        # Its condition cannot be decided, or an input of it has no value.
        TaskState.FAILED: ReasonCode.INPUT_UNRESOLVED,
    }
)


def _around(rows: Iterable[TaskPath]) -> Iterator[str]:
    """The paths of all DAGs and loops that have a row in them."""
    for path in rows:
        parts, around = path.split("."), ""
        for part in parts:
            step = part.partition("[")[0].partition("~")[0]
            yield f"{around}{step}"
            around = f"{around}{part}."
