"""What the API answers. The examples stand in the OpenAPI document."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from nodewise.api.predicted import PREDICTED, Predicted
from nodewise.core.lifecycle import AttemptState, RunState, TaskState
from nodewise.core.model.task import DataKind, TaskKind

RUN_ID = "0b8d5a0e-6a1f-4c1e-9d53-2f6f6f1c7a11"


def example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": values})


class FaultBody(BaseModel):
    field: str
    rule: str


class ProblemBody(BaseModel):
    """RFC 9457 problem details."""

    model_config = example(
        type="urn:nodewise:problem:invalid-request",
        title="Unprocessable Entity",
        status=422,
        detail="body.deadline: must be in the future; 2020-01-01T00:00:00+00:00 has passed",
        errors=[
            {"field": "body.deadline", "rule": "must be in the future; 2020-01-01T00:00:00+00:00 has passed"}
        ],
    )

    type: str
    title: str
    status: int
    detail: str
    errors: list[FaultBody] = []


class TaskCounts(BaseModel):
    total: int
    by_state: dict[TaskState, int]


class RunOutputs(BaseModel):
    """The pipeline's own outputs, by name; an artifact is always a list, of one where it is a single one."""

    parameters: dict[str, Any] = {}
    artifacts: dict[str, list[dict[str, Any]]] = {}


RUN: Final[Mapping[str, Any]] = {
    "id": RUN_ID,
    "name": "wine, first try",
    "pipeline": "wine",
    "state": "RUNNING",
    "team": "default",
    "priority": 5,
    "deadline": None,
    "policy": "fifo",
    "strategy": "greedy",
    "engine": "agents",
    "caching": True,
    "parameters": {"samples": 1000},
    "labels": {"wave": "1"},
    "schedule_id": None,
    "scheduled_for": None,
    "submitted_at": "2030-01-31T12:00:00Z",
    "scheduled_at": "2030-01-31T12:00:01Z",
    "started_at": "2030-01-31T12:00:02Z",
    "finished_at": None,
    "cancel_requested_at": None,
    "retry_of": None,
    "archived_at": None,
    "error": None,
    "outputs": None,
    "trace_id": RUN_ID.replace("-", ""),
    "tasks": {"total": 3, "by_state": {"SUCCEEDED": 1, "RUNNING": 1, "WAITING": 1}},
}


class Run(BaseModel):
    model_config = example(**RUN)

    id: str
    name: str
    pipeline: str
    state: RunState
    team: str
    priority: int
    deadline: datetime | None
    policy: str
    strategy: str
    engine: str = Field(description="Where its tasks run: on agents or on kubeflow.")
    caching: bool = Field(description="Whether results of earlier, equal tasks may be reused.")
    parameters: dict[str, Any]
    labels: dict[str, str]
    schedule_id: str | None = Field(description="The schedule that made it, even if that was deleted since.")
    scheduled_for: datetime | None = Field(
        description="The time of its schedule that it is the run of; null where it was run at once."
    )
    submitted_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    retry_of: str | None = Field(description="The run whose next try it is.")
    trace_id: str = Field(
        description="W3C Trace Context: of its submitter's trace, else its own id; its tasks have it in TRACEPARENT."
    )
    archived_at: datetime | None = Field(description="When it was put away; null: it was not.")
    error: str | None
    outputs: RunOutputs | None = Field(
        description="What the pipeline as a whole gives; null: nothing, or not yet."
    )
    tasks: TaskCounts


class RunPage(BaseModel):
    items: list[Run]
    next_cursor: str | None = Field(description="Hand it back as `cursor` for the next page; null: the last.")


class Amounts(BaseModel):
    model_config = example(millicores=1000, memory_mib=512, gpus=0)

    millicores: int
    memory_mib: int
    gpus: int


class Outputs(BaseModel):
    parameters: dict[str, Any] = {}
    artifacts: dict[str, Any] = {}


class FailureBody(BaseModel):
    """How an attempt ended that was not the last one."""

    model_config = example(
        attempt=1, node="n2", state="FAILED", code="exit_code", message="ValueError: no rows"
    )

    attempt: int
    node: str
    state: AttemptState
    code: str | None
    message: str | None


class Task(Predicted):
    model_config = example(
        run_id=RUN_ID,
        path="train",
        component="train",
        kind="training",
        task_class="training/random_forest",
        state="RUNNING",
        reason_code="placed",
        reason="started on n3",
        attempt=1,
        failures=0,
        node="n3",
        strategy="greedy",
        upstream=["preprocess"],
        resources={"millicores": 1000, "memory_mib": 512, "gpus": 0},
        effort_flops=3.2e9,
        input_bytes=8e7,
        expected_node="n3",
        expected_start_at="2030-01-31T12:00:05Z",
        expected_end_at="2030-01-31T12:00:09Z",
        **PREDICTED,
        ready_at="2030-01-31T12:00:04Z",
        admitted_at="2030-01-31T12:00:04Z",
        placed_at="2030-01-31T12:00:05Z",
        started_at="2030-01-31T12:00:05Z",
        finished_at=None,
        waited_seconds=1.2,
        ran_seconds=2.5,
        why_node="least loaded of 4",
        last_failure=None,
        outputs={"parameters": {}, "artifacts": {}},
    )

    run_id: str
    path: str
    component: str
    kind: TaskKind
    task_class: str
    state: TaskState
    reason_code: str | None
    reason: str | None
    attempt: int
    failures: int
    node: str | None = Field(
        description="Of the latest attempt, as are why_node and placed_at; null: it waits."
    )
    strategy: str
    upstream: list[str]
    resources: Amounts
    effort_flops: float | None
    input_bytes: float | None = Field(description="Size of its data set in memory.")
    expected_node: str | None = Field(
        description="Where the latest plan wants it, with the two times; null: it is not planned."
    )
    expected_start_at: datetime | None
    expected_end_at: datetime | None
    ready_at: datetime | None
    admitted_at: datetime | None
    placed_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    waited_seconds: float | None
    ran_seconds: float | None
    why_node: str | None
    last_failure: FailureBody | None = Field(description="The latest attempt that failed or was lost.")
    outputs: Outputs


class TaskList(BaseModel):
    items: list[Task]


class Attempt(Predicted):
    attempt: int
    node: str
    state: AttemptState
    policy: str
    strategy: str
    reason_code: str
    reason: str
    placed_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    end_code: str | None
    end_message: str | None
    peak_memory_mib: int | None


class QueueItem(BaseModel):
    run_id: str
    run_name: str
    path: str
    state: TaskState
    position: int | None
    reason_code: str | None
    reason: str | None
    ready_at: datetime | None
    waited_seconds: float | None
    priority: int
    policy: str
    strategy: str
    resources: Amounts


class AwaitedTask(BaseModel):
    path: str
    state: TaskState


class InputsMissing(BaseModel):
    path: str
    waits_for: list[AwaitedTask] = Field(
        description="Those of its upstream tasks that have not succeeded; empty: it is about to be let on."
    )


class WaitingRun(BaseModel):
    """Tasks of one run that are not in the queue yet, because their inputs are not there."""

    run_id: str
    run_name: str
    priority: int
    policy: str
    strategy: str
    tasks: int = Field(
        description="How many of the run's tasks are WAITING, those included that are not listed."
    )
    items: list[InputsMissing] = Field(description="The first 5 of them.")


class Queue(BaseModel):
    counts: dict[TaskState, int]
    items: list[QueueItem]
    waiting: list[WaitingRun] = Field(description="By run, the oldest first; at most 50 runs.")


class FigureBody(BaseModel):
    model_config = example(value=1824.5, measured_at="2030-01-31T12:00:00Z", age_seconds=1.3, fresh=True)

    value: float
    measured_at: datetime
    age_seconds: float
    fresh: bool


class ObservationBody(BaseModel):
    """Null: unknown, never zero."""

    available_memory_mib: FigureBody | None
    cpu_utilisation: FigureBody | None
    load1: FigureBody | None


class Node(BaseModel):
    name: str
    state: str
    node_class: str
    architecture: str
    worker_type: str
    accelerator: str | None
    container_runtime: str | None
    labels: dict[str, str]
    capacity: Amounts
    booked: Amounts
    free: Amounts
    running_tasks: int
    last_seen_at: datetime
    cordoned_at: datetime | None = Field(
        description="Since when it takes nothing new, because an operator said so; null: it does."
    )
    observation: ObservationBody


class NodeList(BaseModel):
    items: list[Node]


class Named(BaseModel):
    model_config = example(name="fifo", summary="First come, first served.", default=True)

    name: str
    summary: str
    default: bool


class PolicyList(BaseModel):
    items: list[Named]


class PresetBody(BaseModel):
    model_config = example(name="fifo_greedy", policy="fifo", strategy="greedy", summary="")

    name: str
    policy: str
    strategy: str
    summary: str


class StrategyList(BaseModel):
    items: list[Named]
    presets: list[PresetBody]


class Dataset(BaseModel):
    model_config = example(
        name="kddcup99",
        uri="store://file/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        kind="tabular",
        size_bytes=1048576,
        samples=4000,
        features=41,
        classes=23,
        types={"float64": 38, "string": 3},
        normalised=True,
        created_at="2030-01-31T12:00:00Z",
        updated_at="2030-01-31T12:00:00Z",
        team="vision",
    )

    name: str
    uri: str
    kind: DataKind
    size_bytes: int
    samples: int | None
    features: int | None
    classes: int | None
    types: dict[str, int]
    normalised: bool
    created_at: datetime
    updated_at: datetime
    team: str | None = Field(description="Who may replace it; null: everybody who may register one.")


class DatasetList(BaseModel):
    items: list[Dataset]


class Health(BaseModel):
    model_config = example(status="ok")

    status: str
