"""Whether the attempts of a run hold what they should: live ones their room, ended ones nothing."""

from collections.abc import Iterator

from nodewise.core.audit.finding import Check, Finding
from nodewise.core.audit.record import AttemptRecord, RunRecord, TaskRecord
from nodewise.core.lifecycle import LIVE_ATTEMPT_STATES, TaskState
from nodewise.core.model.ids import TaskPath

_ON_A_NODE = frozenset({TaskState.PLACED, TaskState.RUNNING})


def booked_as_live(run: RunRecord) -> Iterator[Finding]:
    """Live attempts are those that hold room, and those of tasks that are on a node; one for each such task.

    A run that was bound early holds room only for what runs, as far as there was any: KFP asks nobody.
    """
    live: dict[TaskPath, AttemptRecord] = {}
    for one in run.attempts:
        if one.state in LIVE_ATTEMPT_STATES:
            live[one.path] = one
        for text in _wrong(one, bound_early=run.bound_early):
            yield _of(run, one.path, text, one)
    for task in run.tasks:
        unlike = _unlike(task, live.get(task.path), bound_early=run.bound_early)
        if unlike:
            yield _of(run, task.path, unlike, live.get(task.path))


def _of(run: RunRecord, path: TaskPath, text: str, one: AttemptRecord | None) -> Finding:
    return Finding(
        check=Check.BOOKED_AS_LIVE,
        run_id=run.id,
        path=path,
        attempt=one.attempt if one else None,
        node=one.node if one else None,
        since=one.booking.booked_at if one and one.booking else None,
        until=one.finished_at if one else None,
        text=text,
    )


def _wrong(one: AttemptRecord, *, bound_early: bool) -> Iterator[str]:
    is_live = one.state in LIVE_ATTEMPT_STATES
    holds = one.booking is not None and one.booking.released_at is None
    if holds and not is_live:
        yield f"it is {one.state}, and still holds room"
    if is_live and not holds and not bound_early:
        yield f"it is {one.state}, and holds no room"
    if one.booking is not None and one.booking.node != one.node and not bound_early:
        yield f"it is on {one.node}, and holds room on {one.booking.node}"


def _unlike(task: TaskRecord, live: AttemptRecord | None, *, bound_early: bool) -> str | None:
    if live is None:
        missing = task.state in _ON_A_NODE and not bound_early
        return f"it is {task.state}, and has no live attempt" if missing else None
    if task.state not in _ON_A_NODE:
        return f"attempt {live.attempt} is {live.state}, and its task {task.state}"
    return (
        None
        if live.attempt == task.attempt
        else f"attempt {live.attempt} is live, the latest is {task.attempt}"
    )
