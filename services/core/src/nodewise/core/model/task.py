"""Tasks as the decision sees them: what they are, what they need, what they would like."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from nodewise.core.model.ids import NodeName, TaskPath, TaskRef
from nodewise.core.model.resources import Resources
from nodewise.core.model.selection import NodeTerm, Toleration


class TaskKind(StrEnum):
    """What a step does in an ML pipeline."""

    PREPROCESSING = "preprocessing"
    TRAINING = "training"
    EVALUATION = "evaluation"
    INFERENCE = "inference"
    OTHER = "other"


class DataKind(StrEnum):
    TABULAR = "tabular"
    IMAGES = "images"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """What is known of a task's data set. Every count may be unknown (None).

    `name` refers to the registry of data sets where there is an entry; then `size_bytes` and `samples` are
    measured. `types` counts features by type name, for example {"float64": 12, "int64": 3}.
    """

    name: str | None = None
    kind: DataKind = DataKind.TABULAR
    samples: int | None = None
    features: int | None = None
    classes: int | None = None
    types: Mapping[str, int] = field(default_factory=dict)
    size_bytes: int | None = None
    normalised: bool = True
    measured: bool = False
    """True when the figures come from the registry, not from the author."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known of the model that a task trains or evaluates.

    `type` is a short lower-case name: linear_regression, logistic_regression, decision_tree, random_forest, svm, nn, cnn.
    `parameters` are its hyper-parameters by name (n_estimators, max_depth, epochs, layers, kernel ...).
    """

    type: str
    parameters: Mapping[str, float | int | str | bool | list[float | int] | None] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Hard requirements: a node that breaks one is never used. Empty means anything goes.

    `engine` is that of the run; `containers`: it brings its own image, so the node needs a container runtime.
    Of `affinity` one term must hold (none: anything goes). Without a toleration, a node that is tainted is used only where it is named.
    """

    nodes: tuple[NodeName, ...] = ()
    architectures: tuple[str, ...] = ()
    worker_types: tuple[str, ...] = ()
    accelerator: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    engine: str = "agents"
    containers: bool = False
    affinity: tuple[NodeTerm, ...] = ()
    tolerations: tuple[Toleration, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Wishes: a strategy may follow them; a node that breaks one is still allowed."""

    nodes: tuple[NodeName, ...] = ()
    accelerator: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and after how long a failed task is tried again. LOST attempts do not count against it."""

    max_retries: int = 0
    backoff: timedelta = timedelta(0)
    factor: float = 2.0
    max_backoff: timedelta = timedelta(hours=1)

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise ValueError(f"max_retries must not be negative, got {self.max_retries}")

    def delay(self, failures: int) -> timedelta:
        """How long to wait after the `failures`-th failure (1 for the first)."""
        if not self.backoff:
            return timedelta(0)
        steps = min(failures - 1, 64)
        seconds = self.backoff.total_seconds() * self.factor**steps
        return timedelta(seconds=min(seconds, self.max_backoff.total_seconds()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """One leaf task of a pipeline, fixed at submission.

    `task_class` is the unit of learned run times; by default `kind/model type` or the component's name.
    """

    path: TaskPath
    component: str
    kind: TaskKind = TaskKind.OTHER
    task_class: str = "other"
    resources: Resources = field(default_factory=lambda: Resources(millicores=1000, memory_mib=256))
    dataset: DatasetFacts | None = None
    model: ModelFacts | None = None
    requirements: Requirements = field(default_factory=Requirements)
    preferences: Preferences = field(default_factory=Preferences)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: timedelta | None = None
    upstream: tuple[TaskPath, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """What a run time is predicted from: the class of the task and the size of this very task (None: unknown)."""

    ref: TaskRef
    task_class: str
    effort_flops: float | None = None
    input_bytes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInput:
    """What one upstream task left, and the node where it is at hand."""

    node: NodeName
    mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingTask:
    """A task that is ready to run, as the scheduler and the placer see it in a snapshot.

    `effort_flops` is the estimated work, `input_bytes` the size of its data set (None: unknown). `sibling_nodes` are
    the nodes on which other tasks of the same run ran or run, latest first. `allowed_nodes` are those that the
    scheduler admitted it to (None: any): the node of a plan, or all but one that is kept free for somebody else.
    `inputs` are what its upstream tasks left, as far as it is known.
    """

    ref: TaskRef
    spec: TaskSpec
    submitted_at: datetime
    ready_at: datetime
    priority: int = 0
    deadline: datetime | None = None
    team: str = "default"
    policy: str = "fifo"
    strategy: str = "greedy"
    effort_flops: float | None = None
    input_bytes: float | None = None
    sibling_nodes: tuple[NodeName, ...] = ()
    allowed_nodes: tuple[NodeName, ...] | None = None
    inputs: tuple[TaskInput, ...] = ()

    @property
    def facts(self) -> TaskFacts:
        return TaskFacts(
            ref=self.ref,
            task_class=self.spec.task_class,
            effort_flops=self.effort_flops,
            input_bytes=self.input_bytes,
        )
