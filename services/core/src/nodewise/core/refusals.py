"""Sentences for tasks that get no node. Shared by scheduler and placer, so that both say the same."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.model.decision import Exclusion, Reason, ReasonCode
from nodewise.core.model.task import Requirements, TaskSpec

_NAMED_NODES: Final = 6
"""So many nodes are named in a sentence; the rest are counted."""

_KEPT_OUT: Final[Mapping[ReasonCode, str]] = MappingProxyType(
    {
        ReasonCode.CPU_BOOKED: "full",
        ReasonCode.MEMORY_BOOKED: "full",
        ReasonCode.GPU_BOOKED: "full",
        ReasonCode.SLOTS_TAKEN: "full",
        ReasonCode.KEPT_FREE: "kept free",
        ReasonCode.CORDONED: "cordoned",
        ReasonCode.MEMORY_IN_USE: "short of memory",
        ReasonCode.CPU_TOO_SMALL: "too small",
        ReasonCode.MEMORY_TOO_SMALL: "too small",
        ReasonCode.GPU_TOO_FEW: "too small",
    }
)

NO_NODES: Final = Reason(code=ReasonCode.NO_NODES, text="the cluster has no node that is ready")


def refusal(spec: TaskSpec, exclusions: Sequence[Exclusion]) -> Reason:
    """Why `spec` gets no node, given what keeps it off every node of the cluster (in node-name order).

    UNSATISFIABLE when waiting cures none of the exclusions, NO_NODES when there is no node at all, else NO_ROOM: also
    where a node is only cordoned, which is meant to pass.
    """
    if not exclusions:
        return NO_NODES
    listed = _listed(exclusions)
    if all(found.for_ever for found in exclusions):
        return Reason(
            code=ReasonCode.UNSATISFIABLE, text=f"no node can ever take it; it needs {needs(spec)}. {listed}"
        )
    takes = "takes it" if any(found.code is ReasonCode.CORDONED for found in exclusions) else "has room"
    return Reason(code=ReasonCode.NO_ROOM, text=f"no node {takes} now. {listed}")


def kept_out(code: ReasonCode) -> str:
    """What is said in a word or two of a node that this keeps out: `full`, `too small`."""
    return _KEPT_OUT.get(code, "not allowed")


def about(moment: datetime, now: datetime) -> str:
    """A predicted time for a person: `about 12:04:10 UTC`, with the date where it is more than half a day away."""
    if abs(moment - now) < timedelta(hours=12):
        return f"about {moment:%H:%M:%S} UTC"
    return f"about {moment:%Y-%m-%d %H:%M} UTC"


def needs(spec: TaskSpec) -> str:
    """What a task must have, for a person: `2 cores, 512 MiB, worker type high-cpu`."""
    need = effective_resources(spec)
    parts = [f"{need.millicores / 1000:g} cores", f"{need.memory_mib} MiB"]
    if need.gpus:
        parts.append(f"{need.gpus} GPUs")
    return ", ".join(parts + _hard(spec.requirements))


def _hard(wanted: Requirements) -> list[str]:
    parts = []
    if wanted.nodes:
        parts.append(f"node {' or '.join(wanted.nodes)}")
    if wanted.architectures:
        parts.append(f"architecture {' or '.join(wanted.architectures)}")
    if wanted.worker_types:
        parts.append(f"worker type {' or '.join(wanted.worker_types)}")
    if wanted.accelerator:
        parts.append(f"accelerator {wanted.accelerator}")
    parts += [f"label {key}={value}" for key, value in sorted(wanted.labels.items())]
    return parts + ([" or ".join(str(term) for term in wanted.affinity)] if wanted.affinity else [])


def _listed(exclusions: Sequence[Exclusion]) -> str:
    named = [f"{found.node}: {found.text}" for found in exclusions[:_NAMED_NODES]]
    more = len(exclusions) - len(named)
    return "; ".join([*named, f"and {more} more"] if more else named)
