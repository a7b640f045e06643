"""The lives of runs and tasks, as tables (rule 3). Nothing else says what may follow what.

`TASK_TRANSITIONS` and `RUN_TRANSITIONS` map (state, event) to the next state; `TASK_EVENT_OWNERS` names the one
service that may fire each event (rule 5: one writer per transition). A pair that is absent is illegal.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from nodewise.core.errors import IllegalTransition


class RunState(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class TaskState(StrEnum):
    WAITING = "WAITING"
    """Its inputs are not there yet."""
    READY = "READY"
    """In the queue."""
    ADMITTED = "ADMITTED"
    """The scheduler let it pass; a placer will take it."""
    PLACED = "PLACED"
    """Booked on a node, not yet seen running."""
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    """Never ran, because something it needs did not succeed."""
    CANCELED = "CANCELED"


class AttemptState(StrEnum):
    PLACED = "PLACED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    LOST = "LOST"
    """Its lease ended, or its agent forgot it. A late report of it changes nothing."""
    CANCELED = "CANCELED"


class TaskEvent(StrEnum):
    INPUTS_READY = "inputs_ready"
    RESOLVE = "resolve"
    """Its outputs are there although it never ran: an import, or the result of an earlier, equal task."""
    ADMIT = "admit"
    DEFER = "defer"
    PLACE = "place"
    REJECT = "reject"
    """No job can be made of what is on record, whatever the node."""
    START = "start"
    SUCCEED = "succeed"
    FAIL = "fail"
    RETRY = "retry"
    LOSE = "lose"
    SIGHT = "sight"
    """It appeared in an engine that runs DAGs by itself; nobody here placed it."""
    RESTART = "restart"
    """Its engine tries it again by itself, on the nodes that it is bound to."""
    SKIP = "skip"
    CANCEL = "cancel"


class RunEvent(StrEnum):
    START = "start"
    SUCCEED = "succeed"
    FAIL = "fail"
    REQUEST_CANCEL = "request_cancel"
    CANCEL = "cancel"


FINAL_RUN_STATES: Final = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED})
FINAL_TASK_STATES: Final = frozenset(
    {TaskState.SUCCEEDED, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELED}
)
LIVE_ATTEMPT_STATES: Final = frozenset({AttemptState.PLACED, AttemptState.RUNNING})

_T, _E = TaskState, TaskEvent
TASK_TRANSITIONS: Final[Mapping[tuple[TaskState, TaskEvent], TaskState]] = MappingProxyType(
    {
        (_T.WAITING, _E.INPUTS_READY): _T.READY,
        (_T.WAITING, _E.RESOLVE): _T.SUCCEEDED,
        # An input has no value, or one of another type.
        (_T.WAITING, _E.FAIL): _T.FAILED,
        (_T.WAITING, _E.SKIP): _T.SKIPPED,
        (_T.WAITING, _E.CANCEL): _T.CANCELED,
        # Early binding: all tasks of the run get their nodes at once.
        (_T.WAITING, _E.PLACE): _T.PLACED,
        (_T.WAITING, _E.SIGHT): _T.PLACED,
        (_T.READY, _E.PLACE): _T.PLACED,
        (_T.READY, _E.ADMIT): _T.ADMITTED,
        (_T.READY, _E.SKIP): _T.SKIPPED,
        (_T.READY, _E.CANCEL): _T.CANCELED,
        (_T.ADMITTED, _E.PLACE): _T.PLACED,
        (_T.ADMITTED, _E.DEFER): _T.READY,
        (_T.ADMITTED, _E.REJECT): _T.FAILED,
        (_T.ADMITTED, _E.SKIP): _T.SKIPPED,
        (_T.ADMITTED, _E.CANCEL): _T.CANCELED,
        (_T.PLACED, _E.START): _T.RUNNING,
        # An agent may report an end whose start was never heard.
        (_T.PLACED, _E.SUCCEED): _T.SUCCEEDED,
        (_T.PLACED, _E.FAIL): _T.FAILED,
        (_T.PLACED, _E.RETRY): _T.READY,
        (_T.PLACED, _E.LOSE): _T.READY,
        # Bound early, and then not needed: a branch that was not taken, a loop without items.
        (_T.PLACED, _E.SKIP): _T.SKIPPED,
        (_T.PLACED, _E.RESTART): _T.PLACED,
        (_T.PLACED, _E.CANCEL): _T.CANCELED,
        (_T.RUNNING, _E.SUCCEED): _T.SUCCEEDED,
        (_T.RUNNING, _E.FAIL): _T.FAILED,
        (_T.RUNNING, _E.RETRY): _T.READY,
        (_T.RUNNING, _E.LOSE): _T.READY,
        (_T.RUNNING, _E.RESTART): _T.PLACED,
        (_T.RUNNING, _E.CANCEL): _T.CANCELED,
    }
)

TASK_EVENT_OWNERS: Final[Mapping[TaskEvent, str]] = MappingProxyType(
    {
        _E.ADMIT: "scheduler",
        _E.PLACE: "placer",
        _E.DEFER: "placer",
        _E.REJECT: "placer",
        _E.INPUTS_READY: "recorder",
        _E.RESOLVE: "recorder",
        _E.START: "recorder",
        _E.SUCCEED: "recorder",
        _E.FAIL: "recorder",
        _E.RETRY: "recorder",
        _E.LOSE: "recorder",
        _E.SIGHT: "recorder",
        _E.RESTART: "recorder",
        _E.SKIP: "recorder",
        _E.CANCEL: "recorder",
    }
)

_R, _V = RunState, RunEvent
RUN_TRANSITIONS: Final[Mapping[tuple[RunState, RunEvent], RunState]] = MappingProxyType(
    {
        (_R.PENDING, _V.START): _R.RUNNING,
        (_R.PENDING, _V.SUCCEED): _R.SUCCEEDED,
        (_R.PENDING, _V.FAIL): _R.FAILED,
        (_R.PENDING, _V.REQUEST_CANCEL): _R.CANCELING,
        (_R.RUNNING, _V.SUCCEED): _R.SUCCEEDED,
        (_R.RUNNING, _V.FAIL): _R.FAILED,
        (_R.RUNNING, _V.REQUEST_CANCEL): _R.CANCELING,
        (_R.CANCELING, _V.CANCEL): _R.CANCELED,
    }
)


def next_task_state(state: TaskState, event: TaskEvent) -> TaskState:
    """The state that follows.

    Raises:
        IllegalTransition: The pair is not in the table.
    """
    following = TASK_TRANSITIONS.get((state, event))
    if following is None:
        raise IllegalTransition(subject="task", state=state, event=event)
    return following


def next_run_state(state: RunState, event: RunEvent) -> RunState:
    """The state that follows.

    Raises:
        IllegalTransition: The pair is not in the table.
    """
    following = RUN_TRANSITIONS.get((state, event))
    if following is None:
        raise IllegalTransition(subject="run", state=state, event=event)
    return following
