"""What crosses the broker. Messages only wake (rule 1); the one that carries facts is the agents' heartbeat,
and it carries the agent's whole state every time, so losing one loses nothing.

Owner (sender) and consumer of each stand on its class.
"""

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from nodewise.core.lifecycle import AttemptState
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.decision import ReasonCode
from nodewise.core.model.ids import AttemptKey
from nodewise.core.model.node import Node

WAKE_SCHEDULER = "nodewise.scheduler.wake"
WAKE_PLACER = "nodewise.placer.wake"
WAKE_RECORDER = "nodewise.recorder.wake"
HEARTBEAT = "nodewise.recorder.heartbeat"
START_JOBS = "nodewise.agent.start"
CANCEL_JOBS = "nodewise.agent.cancel"
FORGET_JOBS = "nodewise.agent.forget"
NOT_HEARD = "nodewise.agent.not_heard"


class Message(BaseModel):
    """Base of all: frozen, unknown fields ignored (an older reader meets a newer writer)."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class JobRef(Message):
    """Where an attempt's job lies in the store."""

    key: AttemptKey
    job_uri: str
    dispatched_at: AwareDatetime


class StartJobs(Message):
    """placer -> agent: start these unless you already know them (by key)."""

    jobs: tuple[JobRef, ...]


class CancelJobs(Message):
    """recorder -> agent: end these, if they still run, and report CANCELED."""

    keys: tuple[AttemptKey, ...]


class ForgetJobs(Message):
    """recorder -> agent: their ends are on record; stop reporting them and remove what they left."""

    keys: tuple[AttemptKey, ...]


class NotHeard(Message):
    """recorder -> agent: what comes in your name is refused. Not signed, as who has a wrong key could not tell: it says what to look for,
    and nothing is done about it.
    """

    why: str


class AttemptReport(Message):
    """What an agent knows of one attempt. Times are the node's clock, aware UTC.

    `state` is PLACED (accepted, staging), RUNNING, or an end (SUCCEEDED, FAILED, CANCELED).
    """

    key: AttemptKey
    state: AttemptState
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    reason: ReasonCode | None = None
    message: str | None = None
    peak_memory_mib: int | None = None
    cpu_seconds: float | None = None
    outputs: TaskOutputs | None = None
    log_key: str | None = None


class Heartbeat(Message):
    """agent -> recorder: the node's facts and the whole state of its attempts.

    `boot_id` changes with every start of the agent; `sequence` counts up within it. `metrics_url` is where the
    monitor can read this node when no Prometheus is configured.
    """

    node: Node
    boot_id: str
    sequence: int = Field(ge=0)
    sent_at: AwareDatetime
    metrics_url: str | None = None
    attempts: tuple[AttemptReport, ...] = ()
    leaving: bool = False
    """True in the last one of an orderly stop."""
