"""What happens next in a run of any pipeline that KFP can compile. Pure: rows in, moves out."""

from collections.abc import Mapping

from nodewise.core.ir.moves import Advance, Cause, SkippedTask
from nodewise.core.ir.placeholders import bounded_expansion
from nodewise.core.ir.rows import LIVE_TASK_STATES, Rows, RunFacts
from nodewise.core.ir.tally import HOW_TO_SHRINK
from nodewise.core.ir.tree import Program
from nodewise.core.ir.walk import TooLarge, Walk
from nodewise.core.lifecycle import RunState, TaskState

_OUTCOMES = {
    TaskState.SUCCEEDED: RunState.SUCCEEDED,
    TaskState.FAILED: RunState.FAILED,
    TaskState.CANCELED: RunState.CANCELED,
}
_NO_FACTS = RunFacts()


def advance(
    program: Program,
    parameters: Mapping[str, object],
    rows: Rows,
    *,
    facts: RunFacts = _NO_FACTS,
    canceling: bool = False,
) -> Advance:
    """What follows from the rows of a run; the same for the same rows, and nothing more once it was applied.

    A task is ready when all its upstream SUCCEEDED. It is skipped as soon as one of them failed, was skipped or canceled; other
    branches go on, and whoever ignores upstream failures waits for all of them to end. A failure anywhere makes the DAG around it,
    and in the end the run, FAILED, exit tasks notwithstanding.

    Args:
        program: the pipeline.
        parameters: of the run, bound.
        rows: of the run's leaf tasks so far; none at first.
        facts: what placeholders say of the run.
        canceling: start nothing more but exit tasks, once what they wait for has ended.

    Returns:
        All moves that are possible now. A run that would become too large starts nothing more, exit tasks included, and is
        FAILED once all that runs has ended.
    """
    walk = Walk(program=program, rows=rows, facts=facts)
    try:
        with bounded_expansion():
            result = walk.run(parameters, canceling=canceling)
    except TooLarge:
        reason = f"the run would have more than {program.max_instances} tasks and iterations: {HOW_TO_SHRINK}"
        return nothing_more(rows, reason)
    return Advance(
        new_tasks=tuple(walk.new),
        ready=tuple(walk.ready),
        skipped=tuple(walk.skipped),
        failed=tuple(walk.failed),
        groups=tuple(walk.groups),
        outcome=_OUTCOMES.get(result.state),
        outputs=result.outputs,
        reason=result.message,
    )


def nothing_more(rows: Rows, reason: str) -> Advance:
    """What follows for a run that has become too large: what waits is skipped, and it is FAILED once all that runs has ended."""
    waiting = [path for path, row in rows.items() if row.state is TaskState.WAITING]
    live = any(row.state in LIVE_TASK_STATES for row in rows.values())
    return Advance(
        skipped=tuple(
            SkippedTask(path=path, cause=Cause.TOO_LARGE, reason=reason) for path in sorted(waiting)
        ),
        outcome=None if live else RunState.FAILED,
        reason=reason,
    )
