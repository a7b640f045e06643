"""The events of every run and task, replayed: do they lead, by steps that the tables have, to where it is?"""

from collections.abc import Mapping
from itertools import pairwise

from nodewise.core.codec import decode
from nodewise.core.errors import IllegalTransition
from nodewise.core.ir import Advance, Program, Row, RunFacts, advance, applied
from nodewise.core.lifecycle import (
    RunEvent,
    RunState,
    TaskEvent,
    TaskState,
    next_run_state,
    next_task_state,
)
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.ids import RunId, TaskPath
from tests.support.recording import World

Step = tuple[str, str | None, str]
"""The event, the state before it (None: born) and the state after it."""


def lives_of(world: World) -> dict[tuple[str, str | None], list[Step]]:
    """The events by run and path; the path of a run itself is None."""
    found: dict[tuple[str, str | None], list[Step]] = {}
    for run_id, path, event, before, then in world.all(
        "SELECT run_id, path, event, from_state, to_state FROM events ORDER BY id"
    ):
        subject = (str(run_id), None if path is None else str(path))
        found.setdefault(subject, []).append((str(event), None if before is None else str(before), str(then)))
    return found


def broken_lives(world: World) -> list[str]:
    """What is wrong with the history; nothing ever should be."""
    current = {(str(i), None): str(s) for i, s in world.all("SELECT id, state FROM runs")}
    current |= {(str(i), str(p)): str(s) for i, p, s in world.all("SELECT run_id, path, state FROM tasks")}
    lives = lives_of(world)
    wrong = [f"{subject} has no history" for subject in current.keys() - lives.keys()]
    for subject, steps in lives.items():
        if steps[0][:2] != ("submit", None):
            wrong.append(f"{subject} begins with {steps[0]}")
        if steps[-1][2] != current.get(subject):
            wrong.append(f"{subject} is {current.get(subject)}, but its history ends {steps[-1]}")
        wrong += [
            f"{subject}: {step} after {last}"
            for last, step in pairwise(steps)
            if not _follows(last, step, of_run=subject[1] is None)
        ]
    return wrong


def _follows(last: Step, step: Step, *, of_run: bool) -> bool:
    event, before, after = step
    if before is None or before != last[2]:
        return False
    try:
        if of_run:
            return next_run_state(RunState(before), RunEvent(event)) == after
        return next_task_state(TaskState(before), TaskEvent(event)) == after
    except IllegalTransition:
        return False


def interpreted(
    program: Program,
    parameters: Mapping[str, object],
    ends: Mapping[TaskPath, Row],
    *,
    facts: RunFacts,
) -> tuple[dict[TaskPath, Row], Advance]:
    """What the interpreter alone makes of a run whose tasks, once their turn has come, end like that."""
    rows: dict[TaskPath, Row] = {}
    while True:
        step = advance(program, parameters, rows, facts=facts)
        rows = applied(rows, step)
        rows |= {task.path: ends[task.path] for task in step.ready}
        if not step.moves:
            return rows, step


def rows_of(world: World, run_id: RunId) -> dict[TaskPath, Row]:
    """The tasks of a run as the interpreter reads them."""
    found = world.all("SELECT path, state, outputs, reason FROM tasks WHERE run_id = :id", id=run_id)
    return {
        TaskPath(str(path)): Row(
            state=TaskState(str(state)), outputs=decode(TaskOutputs, outputs or {}), message=str(reason or "")
        )
        for path, state, outputs, reason in found
    }
