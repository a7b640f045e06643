"""A job: all that an agent needs to run one attempt. It travels through the artifact store, not through the broker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from nodewise.core.model.artifact import Values
from nodewise.core.model.component import ContainerWork, PythonWork, Signature
from nodewise.core.model.ids import AttemptKey
from nodewise.core.model.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt, resolved: every input has its value or its artifacts.

    `inputs` hold beside the declared ones those that only placeholders refer to; `facts` are what placeholders can say of the run
    and the task, by KFP's name for each. `resources` is what is booked; `memory_limit_mib` (None: the node's) is what the process may
    use. `dataset_uri` is the registered data set that the task named, staged for it as `NODEWISE_DATASET`; `traceparent` the trace that it is a part of (None: of a
    release before).
    """

    key: AttemptKey
    run_name: str
    component: str
    work: PythonWork | ContainerWork
    signature: Signature = field(default_factory=Signature)
    inputs: Values = field(default_factory=Values)
    facts: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    memory_limit_mib: int | None = None
    timeout: timedelta | None = None
    dataset_uri: str | None = None
    traceparent: str | None = None
