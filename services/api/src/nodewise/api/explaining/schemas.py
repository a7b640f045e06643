"""What `explain` answers. The examples stand in the OpenAPI document."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from nodewise.api.explaining.waiting import ChangeKind
from nodewise.api.queue_part import LongQueue
from nodewise.api.schemas import Attempt, Run, Task, example
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.decision import ReasonCode


class AwaitedBody(BaseModel):
    """An upstream task that has not succeeded."""

    model_config = example(
        path="preprocess", state="RUNNING", node="n2", expected_end_at="2030-01-31T12:04:10Z"
    )

    path: str
    state: TaskState
    node: str | None = Field(description="Where it runs; null: nowhere yet.")
    expected_end_at: datetime | None = Field(
        description="By what is believed of its run time, else by the latest plan; null: nobody knows yet."
    )


class LackBody(BaseModel):
    """What keeps the task off one node as the cluster is now."""

    model_config = example(
        node="n2", code="memory_booked", text="100 of 2048 MiB unbooked, needs 512", lasting=False
    )

    node: str
    code: ReasonCode | None = Field(description="Null: it has room for the task.")
    text: str
    lasting: bool = Field(description="Whether waiting does not cure it: only another node or task would.")


class ChangeBody(BaseModel):
    """One thing that would let the task start, or start sooner: derived from the cluster as it is now."""

    model_config = example(
        kind="time",
        text="when train of run 5f0c11d2 on n3 ends, about 12:04:10 UTC, it has room",
        node="n3",
        at="2030-01-31T12:04:10Z",
    )

    kind: ChangeKind = Field(
        description="`time`: it comes by itself. `node`: another node or label. `task`: a task that needs less or allows "
        "more. `order`: another priority. `plugin`: another policy or strategy. `nothing`: it is about to move."
    )
    text: str
    node: str | None
    at: datetime | None = Field(description="About when, as far as that is known.")


class WhyBody(BaseModel):
    """Why it waits: derived again where that is possible, else as it is stored."""

    model_config = example(
        code="no_room",
        text="no node has room now. n1: 0 of 2 cores free, needs 1",
        as_of="2030-01-31T12:04:00Z",
        overtaken=None,
    )

    code: ReasonCode | None
    text: str
    as_of: datetime | None = Field(
        description="When that is so; null: at the latest look of the scheduler (or placer, or recorder) that stored it."
    )
    overtaken: str | None = Field(
        description="What has happened since that look, so that the reason does not hold any more; null: nothing that is known."
    )


class PendingBody(BaseModel):
    """Why a task has no node yet, at one moment. What is stored stands in `reason_code` and `reason` of the task."""

    as_of: datetime = Field(description="The moment of all that follows, but of a reason that is older.")
    why: WhyBody
    waits_for: list[AwaitedBody]
    nodes: list[LackBody] = Field(description="Every node that is ready.")
    changes: list[ChangeBody] = Field(description="What would change it, nearest first.")


class ExclusionBody(BaseModel):
    model_config = example(node="n1", code="cpu_booked", text="0 of 2 cores free, needs 1")

    node: str
    code: str
    text: str


class CandidateBody(BaseModel):
    """What one node would have cost, or why it was out."""

    model_config = example(
        node="n3",
        scores={
            "run_seconds": 4.1,
            "run_low": 3.2,
            "run_high": 5.6,
            "transfer_seconds": 0.8,
            "wait_seconds": 0.0,
            "finish_seconds": 4.9,
        },
        exclusion=None,
    )

    node: str
    scores: dict[str, Any] = Field(
        default={},
        description="What the strategy compared, in the order in which it counted. Of most strategies: `run_seconds` "
        "with the 80 % interval from `run_low` to `run_high`, `transfer_seconds` until its inputs are there, "
        "`wait_seconds` until there is room, and `finish_seconds` from then until its end.",
    )
    exclusion: ExclusionBody | None = None


class ExplainedAttempt(Attempt):
    candidates: list[CandidateBody] = Field(
        description="What each node would have cost, or why it was out: of 50 nodes at most, the chosen one among them, "
        "then those with room, then the others."
    )
    more_candidates: dict[str, int] | None = Field(
        description="How many nodes there were beside these, by what kept them out (a reason code; `has_room`: nothing did); "
        "null: there were none."
    )


class ExplainedTask(Task):
    attempts: list[ExplainedAttempt]
    queued_reason: str | None = Field(
        description="What was said when its inputs were there, such as why no earlier result was reused; null: that is yet to come."
    )
    pending: PendingBody | None = Field(description="Null: it has a node, or has ended.")


class PartBody(BaseModel):
    """A part of the pipeline of which no task was made: a branch, a loop, a sub-pipeline."""

    model_config = example(
        path="condition-1",
        state="SKIPPED",
        code="condition_not_met",
        text='its condition is not met: flip.Output == "heads", but flip.Output is "tails"',
    )

    path: str = Field(description="Its tasks have paths that begin with it.")
    state: TaskState = Field(
        description="SKIPPED, CANCELED, FAILED: it is left out. WAITING: it has not begun yet."
    )
    code: ReasonCode
    text: str


class Explanation(BaseModel):
    run: Run
    tasks: list[ExplainedTask]
    queue: LongQueue | None = Field(
        description="Where something of the run waits in a queue that is longer than what a look of the scheduler sees; else null."
    )
    parts: list[PartBody] = Field(
        description="Parts of the pipeline without tasks, the outermost only; of a run on Kubeflow Pipelines none: all have tasks. "
        "Where one task is asked for: the part that it is in, if it was not made."
    )
