"""What a question about the future is answered with. The examples stand in the OpenAPI document."""

from datetime import datetime

from pydantic import BaseModel, Field

from nodewise.api.queue_part import QueuePart
from nodewise.api.schemas import example
from nodewise.core.estimates.learning import Basis
from nodewise.core.model.problem import Objective

_TASK = {
    "path": "train",
    "node": "n3",
    "start": "2030-01-31T12:00:05Z",
    "start_low": "2030-01-31T12:00:04Z",
    "start_high": "2030-01-31T12:00:07Z",
    "finish": "2030-01-31T12:00:09Z",
    "finish_low": "2030-01-31T12:00:08Z",
    "finish_high": "2030-01-31T12:00:13Z",
    "run_seconds": 4.1,
    "run_low": 3.2,
    "run_high": 5.6,
    "waits_for": ["preprocess"],
    "reason": "after preprocess",
    "prediction_basis": "learned",
}


class PlannedTaskBody(BaseModel):
    """Where and when a task would run.

    `start` and `finish` are the plan's own: they come true if everything that is planned takes its median run time, so they
    add up. In truth it does not; in 80 % of all cases the outcome lies between `_low` and `_high`, which hold the plan's, too.
    """

    model_config = example(**_TASK)

    path: str
    node: str
    start: datetime = Field(description="By the plan.")
    start_low: datetime
    start_high: datetime
    finish: datetime = Field(description="By the plan: `start` and `run_seconds`.")
    finish_low: datetime
    finish_high: datetime
    run_seconds: float = Field(description="The median of what is believed of its run time on that node.")
    run_low: float
    run_high: float
    waits_for: list[str] = Field(
        description="The tasks whose end lets it start: paths of this run, or run/path of another; empty: none has to end."
    )
    reason: str = Field(description="Why it starts then, and not sooner.")
    prediction_basis: Basis = Field(
        description="What the run time rests on: `learned` from runs of this task class on this node class, `pooled` from "
        "others like it, or `prior`: from effort and node facts only."
    )


class UnplannableBody(BaseModel):
    model_config = example(
        path="train",
        reason="no node can ever take it; it needs 64 cores, 512 MiB. n1: has 4 cores in all, needs 64",
    )

    path: str
    reason: str


class QueueAhead(BaseModel):
    model_config = example(tasks_before=12, tasks_running=3, left_out=None)

    tasks_before: int = Field(
        description="Tasks of other runs that would start before the first one of this run."
    )
    tasks_running: int = Field(description="Tasks that hold room now.")
    left_out: QueuePart | None = Field(
        description="What waits but is not in the plan: a look of the scheduler sees a part of a long queue, and so does this one. "
        "Then `tasks_before`, makespan and bound are of that part only. Null: all that is open is in the plan."
    )


class Plan(BaseModel):
    """What would become of this run on today's queue. Nothing is stored or booked: the future may change it."""

    model_config = example(
        objective="balanced",
        policy="fifo",
        strategy="greedy",
        planned_at="2030-01-31T12:00:00Z",
        basis="eft: greedy decides task by task, so each task is planned where it ends first, in the order of fifo",
        tasks=[_TASK],
        start="2030-01-31T12:00:05Z",
        finish="2030-01-31T12:00:09Z",
        finish_low="2030-01-31T12:00:08Z",
        finish_high="2030-01-31T12:00:13Z",
        makespan_seconds=9.0,
        lower_bound_seconds=8.5,
        gap=0.059,
        optimal=False,
        unplannable=[],
        queue={"tasks_before": 12, "tasks_running": 3, "left_out": None},
    )

    objective: Objective
    policy: str
    strategy: str
    planned_at: datetime
    basis: str = Field(description="By which planner, and in which order among the other runs.")
    tasks: list[PlannedTaskBody] = Field(description="In the order of the pipeline.")
    start: datetime | None = Field(
        description="Of the run's first task, by the plan; null: nothing of it can be planned."
    )
    finish: datetime | None = Field(
        description="Of its last task, by the plan, with an 80 % interval; null: some task cannot be planned."
    )
    finish_low: datetime | None
    finish_high: datetime | None
    makespan_seconds: float | None = Field(
        description="From `planned_at` to the last end of everything that is planned, the other runs included."
    )
    lower_bound_seconds: float | None = Field(
        description="No plan of all these tasks ends sooner, if run times are as believed."
    )
    gap: float | None = Field(
        description="By which share `makespan_seconds` is above the bound: so much a better plan could save at most."
    )
    optimal: bool = Field(description="Whether it is proved that no plan is better by `objective`.")
    unplannable: list[UnplannableBody] = Field(
        description="Tasks of this run that no node could take, and why."
    )
    queue: QueueAhead
