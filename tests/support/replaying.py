"""The events of every run and task, replayed: do they lead, by steps that the tables have, to where it is?"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from nodewise.core.audit import Allowance
from nodewise.core.codec import decode
from nodewise.core.db.audits import Scope, audit
from nodewise.core.ir import Advance, Program, Row, RunFacts, advance, applied
from nodewise.core.lifecycle import TaskState
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
    """What is wrong with all that is on record, by the product's own checks; nothing ever should be."""
    whole = Scope(since=datetime(2000, 1, 1, tzinfo=UTC), limit=10_000)
    found = audit(world.engine, whole, now=world.clock.now, allowance=Allowance(clocks=timedelta(0)))
    assert found.behind is None
    return [str(finding) for finding in found.findings]


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
