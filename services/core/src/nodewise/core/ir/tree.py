"""A pipeline after reading: a tree of DAGs with leaf tasks, every input bound to where it comes from.

A component that several tasks use is one object in the tree, so reading is linear in the document however often it is repeated.
`repr` leaves the children out: written out in full, a small document can be enormous.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from nodewise.core.ir.expressions import Expression
from nodewise.core.ir.platforms import ExecutorHints
from nodewise.core.model.component import ImportWork, Parameter, PythonWork, ResourceTexts, Signature, Work
from nodewise.core.model.task import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Fixed in the IR; may hold placeholders for other inputs of the same task and for facts of the run."""

    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class FromInput:
    """An input of the enclosing DAG."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FromStep:
    """An output of another step of the same DAG."""

    step: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalStatus:
    """How another step of the same DAG ended."""

    step: str


ParameterSource: TypeAlias = Constant | FromInput | FromStep | FinalStatus
ArtifactSource: TypeAlias = FromInput | FromStep


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterBinding:
    """Where a parameter comes from, and the part of that value which is taken (None: all of it)."""

    source: ParameterSource
    selector: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterLoop:
    """A step repeated for every item: of `items`, or (None) of the list in its own input `items_input`."""

    item_input: str
    items: tuple[object, ...] | None = None
    items_input: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactLoop:
    """A step repeated for every artifact in its own input `items_input`."""

    item_input: str
    items_input: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """Whether a result may be reused, and the author's own key for it (empty: the key of its content)."""

    enabled: bool = False
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A task of a DAG: a component, bound and with its rules.

    It starts when all `upstream` succeeded, or, where `always`, when all of them ended somehow. A `finaliser` also runs in a run
    that is being canceled. `parallelism` is how many iterations of its loop may be under way (0: all). A condition that is
    not met skips it.
    """

    name: str
    component: "Leaf | Dag" = field(repr=False)
    display_name: str = ""
    upstream: tuple[str, ...] = ()
    parameters: Mapping[str, ParameterBinding] = field(default_factory=dict)
    artifacts: Mapping[str, ArtifactSource] = field(default_factory=dict)
    condition: Expression | None = None
    always: bool = False
    finaliser: bool = False
    loop: ParameterLoop | ArtifactLoop | None = None
    parallelism: int = 0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    cache: CachePolicy = field(default_factory=CachePolicy)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Leaf:
    """A component that does something itself. `label` is its executor's, the key of everything that is said of it elsewhere.

    `name` is its place in the IR; `component` what people call it: the function of a Python component, else the name of the first
    of its equal copies in the IR.
    """

    name: str
    label: str
    signature: Signature
    work: Work
    hints: ExecutorHints = field(default_factory=ExecutorHints)
    component: str = ""

    def __post_init__(self) -> None:
        if not self.component:
            called = self.work.function if isinstance(self.work, PythonWork) else self.name
            object.__setattr__(self, "component", called)

    def is_copy_of(self, other: "Leaf") -> bool:
        """Whether it takes, does and leaves the same; what it needs of a node is each call's own."""
        return self.signature == other.signature and _without_needs(self.work) == _without_needs(other.work)


def _without_needs(work: Work) -> Work:
    return work if isinstance(work, ImportWork) else replace(work, resources=ResourceTexts())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dag:
    """A component made of steps, in topological order (ties by name).

    An output is the first of its sources that has a value: several sources are KFP's OneOf. `size` is how many steps it comes to
    when every loop over constants is written out, and every other loop runs once. `by_name` are the steps by name.
    """

    name: str
    signature: Signature
    steps: tuple[Step, ...] = field(default=(), repr=False)
    output_parameters: Mapping[str, tuple[FromStep, ...]] = field(default_factory=dict)
    output_artifacts: Mapping[str, tuple[FromStep, ...]] = field(default_factory=dict)
    size: int = 0
    by_name: Mapping[str, Step] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {step.name: step for step in self.steps})


Component: TypeAlias = Leaf | Dag


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """A whole pipeline, ready to be run. No run of it ever has more than `max_instances` tasks, DAGs and iterations."""

    name: str
    root: Dag
    max_instances: int
    priority: int | None = None
    deadline_seconds: float | None = None
    team: str | None = None

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """What a run of it is given."""
        return self.root.signature.input_parameters
