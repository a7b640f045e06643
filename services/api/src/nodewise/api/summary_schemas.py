"""What the API answers about all runs together."""

from datetime import datetime

from pydantic import BaseModel, Field

from nodewise.core.lifecycle import RunState, TaskState


class Spans(BaseModel):
    """Seconds; null where there are no runs."""

    mean_waiting_seconds: float | None
    max_waiting_seconds: float | None
    mean_execution_seconds: float | None
    max_execution_seconds: float | None


class PipelineSummary(Spans):
    pipeline: str
    runs: int
    succeeded: int
    failed: int


class NodeSummary(BaseModel):
    node: str
    node_class: str
    tasks: int
    busy_seconds: float
    utilisation: float | None = Field(
        description="Booked core-seconds in which tasks ran, of those the node had meanwhile."
    )


class Summary(Spans):
    runs: dict[RunState, int]
    tasks: dict[TaskState, int]
    first_start: datetime | None
    last_end: datetime | None
    total_execution_seconds: float | None = Field(description="From the first start to the last end.")
    pipelines: list[PipelineSummary]
    nodes: list[NodeSummary]
