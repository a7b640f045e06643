"""The shapes that the HTTP API answers with. Plain dictionaries, described for editors and mypy; nothing is converted."""

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

Json = dict[str, Any]


class TaskCounts(TypedDict):
    total: int
    by_state: dict[str, int]


class RunInfo(TypedDict):
    """`GET /v1/runs/{id}`. Times are RFC 3339 text in UTC; None means not yet."""

    id: str
    name: str
    pipeline: str
    state: str
    team: str
    priority: int
    deadline: str | None
    policy: str
    strategy: str
    engine: str
    parameters: Json
    labels: dict[str, str]
    schedule_id: str | None
    scheduled_for: str | None
    submitted_at: str
    scheduled_at: str | None
    started_at: str | None
    finished_at: str | None
    cancel_requested_at: str | None
    retry_of: str | None
    trace_id: str
    archived_at: str | None
    error: str | None
    tasks: TaskCounts


class Finding(TypedDict):
    """Tasks of a submission that no node can take, as the cluster is now: `paths` are the first of them."""

    code: str
    text: str
    paths: list[str]
    tasks: int


class SubmittedInfo(RunInfo):
    """`POST /v1/runs`. `findings` is None where they could not be told."""

    findings: NotRequired[list[Finding] | None]


class Outputs(TypedDict):
    parameters: Json
    artifacts: dict[str, Json]


class Failure(TypedDict):
    """How an attempt ended: `FAILED` or `LOST`, and why."""

    attempt: int
    node: str
    state: str
    code: str | None
    message: str | None


class Predicted(TypedDict):
    """What was believed on the chosen node when it was chosen; `*_seconds` and `*_mib` are medians.

    With probability `prediction_level` the outcome lies between low and high. `prediction_basis` is `prior`, `pooled` or
    `learned`. None: unknown, or placed by an older release.
    """

    predicted_seconds: float | None
    predicted_low: float | None
    predicted_high: float | None
    prediction_level: float | None
    prediction_basis: str | None
    prediction_samples: int | None
    predicted_memory_mib: float | None
    predicted_memory_low: float | None
    predicted_memory_high: float | None


class TaskInfo(Predicted):
    """One item of `GET /v1/runs/{id}/tasks`.

    `node`, `why_node`, `placed_at` and what was predicted are of the latest attempt, None while the task waits (again).
    `expected_*` are of the latest plan, None where there is none.
    """

    run_id: str
    path: str
    component: str
    kind: str
    task_class: str
    state: str
    reason_code: str | None
    reason: str | None
    attempt: int
    failures: int
    node: str | None
    strategy: str | None
    upstream: list[str]
    resources: dict[str, int]
    effort_flops: float | None
    input_bytes: float | None
    expected_node: str | None
    expected_start_at: str | None
    expected_end_at: str | None
    ready_at: str | None
    admitted_at: str | None
    placed_at: str | None
    started_at: str | None
    finished_at: str | None
    waited_seconds: float | None
    ran_seconds: float | None
    why_node: str | None
    last_failure: Failure | None
    outputs: Outputs


class PlannedTask(TypedDict):
    """Where and when a task would run. `_low` and `_high` bound 80 % intervals; times are RFC 3339 text in UTC.

    `waits_for` are paths of the same run, or `run/path` of another. `prediction_basis` is `prior`, `pooled` or `learned`.
    """

    path: str
    node: str
    start: str
    start_low: str
    start_high: str
    finish: str
    finish_low: str
    finish_high: str
    run_seconds: float
    run_low: float
    run_high: float
    waits_for: list[str]
    reason: str
    prediction_basis: str


class Unplannable(TypedDict):
    path: str
    reason: str


class QueuePart(TypedDict):
    """What of a long queue was not looked at."""

    runs: int
    tasks: int
    text: str


class QueueAhead(TypedDict):
    """`left_out` is None where all that waits is in the plan."""

    tasks_before: int
    tasks_running: int
    left_out: NotRequired[QueuePart | None]


class Plan(TypedDict):
    """`POST /v1/plans`: what would become of a run, on today's queue.

    `makespan_seconds`, its bound and its `gap` are of everything that is planned, the other runs included. None: unknown,
    since nothing, or not everything, of the run can be planned.
    """

    objective: str
    policy: str
    strategy: str
    planned_at: str
    basis: str
    tasks: list[PlannedTask]
    start: str | None
    finish: str | None
    finish_low: str | None
    finish_high: str | None
    makespan_seconds: float | None
    lower_bound_seconds: float | None
    gap: float | None
    optimal: bool
    unplannable: list[Unplannable]
    queue: QueueAhead


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of state, as the event stream tells it. `kind` is `run` or `task`; `data` is the row."""

    id: str
    kind: str
    data: Json

    @property
    def state(self) -> str:
        """The state that the run or task went to."""
        return str(self.data.get("to_state", ""))
