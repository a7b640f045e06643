"""Decisions and their reasons (rule 7): what is stored beside every choice and every refusal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nodewise.core.model.ids import NodeName, TaskRef


class ReasonCode(StrEnum):
    """Why a task is where it is. One vocabulary for the scheduler, the placer and the recorder."""

    # waiting
    UPSTREAM_NOT_FINISHED = "upstream_not_finished"
    QUEUED = "queued"
    NO_NODES = "no_nodes"
    NO_ROOM = "no_room"
    UNSATISFIABLE = "unsatisfiable"
    RETRY_BACKOFF = "retry_backoff"
    WAITS_FOR_NODE = "waits_for_node"
    PLANNED_LATER = "planned_later"
    UNKNOWN_POLICY = "unknown_policy"
    UNKNOWN_STRATEGY = "unknown_strategy"
    JOB_NOT_BUILT = "job_not_built"
    TEAM_QUOTA = "team_quota"
    # a node is excluded
    OTHER_ENGINE = "other_engine"
    NO_CONTAINER_RUNTIME = "no_container_runtime"
    NODE_NOT_ALLOWED = "node_not_allowed"
    ARCHITECTURE = "architecture"
    WORKER_TYPE = "worker_type"
    ACCELERATOR = "accelerator"
    LABEL = "label"
    AFFINITY = "affinity"
    TAINT = "taint"
    CORDONED = "cordoned"
    CPU_BOOKED = "cpu_booked"
    MEMORY_BOOKED = "memory_booked"
    GPU_BOOKED = "gpu_booked"
    SLOTS_TAKEN = "slots_taken"
    KEPT_FREE = "kept_free"
    NOT_PLANNED = "not_planned"
    CPU_TOO_SMALL = "cpu_too_small"
    MEMORY_TOO_SMALL = "memory_too_small"
    GPU_TOO_FEW = "gpu_too_few"
    MEMORY_IN_USE = "memory_in_use"
    STRATEGY_RULE = "strategy_rule"
    # moving on
    ADMITTED = "admitted"
    PLACED = "placed"
    LOST_RACE = "lost_race"
    # Kubeflow Pipelines
    PLACEMENT_CONFLICT = "placement_conflict"
    KFP_UNAVAILABLE = "kfp_unavailable"
    KFP_UNAUTHORIZED = "kfp_unauthorized"
    KFP_REFUSED = "kfp_refused"
    KFP_LOST_RUN = "kfp_lost_run"
    POD_PENDING = "pod_pending"
    POD_UNSCHEDULABLE = "pod_unschedulable"
    POD_FAILED = "pod_failed"
    NOT_NEEDED = "not_needed"
    # endings
    FINISHED = "finished"
    IMPORTED = "imported"
    CACHED = "cached"
    EXIT_CODE = "exit_code"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    ENVIRONMENT_NOT_BUILT = "environment_not_built"
    IMAGE_UNAVAILABLE = "image_unavailable"
    AGENT_ERROR = "agent_error"
    LEASE_ENDED = "lease_ended"
    AGENT_FORGOT = "agent_forgot"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_SKIPPED = "upstream_skipped"
    CONDITION_NOT_MET = "condition_not_met"
    INPUT_UNRESOLVED = "input_unresolved"
    RUN_TOO_LARGE = "run_too_large"
    RUN_CANCELED = "run_canceled"


PERMANENT_EXCLUSIONS = frozenset(
    {
        ReasonCode.OTHER_ENGINE,
        ReasonCode.NO_CONTAINER_RUNTIME,
        ReasonCode.NODE_NOT_ALLOWED,
        ReasonCode.ARCHITECTURE,
        ReasonCode.WORKER_TYPE,
        ReasonCode.ACCELERATOR,
        ReasonCode.LABEL,
        ReasonCode.AFFINITY,
        ReasonCode.TAINT,
        ReasonCode.CORDONED,
        ReasonCode.CPU_TOO_SMALL,
        ReasonCode.MEMORY_TOO_SMALL,
        ReasonCode.GPU_TOO_FEW,
    }
)
"""Exclusions that waiting does not cure: only another node or another task would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A typed reason and the sentence that a person reads."""

    code: ReasonCode
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """Why one node cannot take one task now: what is needed, what is there."""

    node: NodeName
    code: ReasonCode
    text: str

    @property
    def permanent(self) -> bool:
        """Whether waiting for what runs does not cure it."""
        return self.code in PERMANENT_EXCLUSIONS

    @property
    def for_ever(self) -> bool:
        """Whether only another node or another task would: a cordon is meant to pass."""
        return self.permanent and self.code is not ReasonCode.CORDONED


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What one node scored, or why it was out. `scores` are named figures, in the order they counted."""

    node: NodeName
    scores: Mapping[str, float | str | None] = field(default_factory=dict)
    exclusion: Exclusion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A task and the node chosen for it.

    `more`: how many nodes there were beside the `candidates` that are told, by what kept them out (None: nothing did).
    """

    ref: TaskRef
    node: NodeName
    reason: Reason
    candidates: tuple[Candidate, ...] = ()
    more: Mapping[ReasonCode | None, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for code, count in self.more.items():
            if count < 1 or not (code is None or isinstance(code, ReasonCode)):
                raise ValueError(f"{count} more by {code!r} is no count by a reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferral:
    """A task that gets no node now, and why."""

    ref: TaskRef
    reason: Reason
    candidates: tuple[Candidate, ...] = ()


Decision = Placement | Deferral
