"""The nodes of an embedded cluster: one machine, divided into agents unlike each other."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_AGENTS_MEMORY_SHARE = 0.8
"""Part of the available memory that all agents share; the rest is for the servers and services."""
_LEAST_MILLICORES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What this machine gives: the cores that we may use, by number, and the memory that is available."""

    cores: tuple[int, ...]
    memory_mib: int
    architecture: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentProfile:
    """One agent: the node that it pretends to be."""

    name: str
    node_class: str
    worker_type: str
    architecture: str
    cores: tuple[int, ...]
    millicores: int
    memory_mib: int
    accelerator: str | None = None
    gpus: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    node_class: str
    worker_type: str
    core_share: float
    memory_weight: float
    accelerator: str | None = None
    gpus: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


# The fourth has no GPU: its class and its label say so, and it exists so that placement by accelerator can be tried.
_KINDS = (
    _Kind(node_class="big", worker_type="high-cpu", core_share=1.0, memory_weight=4),
    _Kind(node_class="medium", worker_type="med-cpu", core_share=0.5, memory_weight=2.5),
    _Kind(node_class="small", worker_type="low-cpu", core_share=0.25, memory_weight=1.5),
    _Kind(
        node_class="sim-gpu", worker_type="med-cpu", core_share=0.5, memory_weight=2,
        accelerator="gpu", gpus=1, labels={"simulated": "true"},
    ),
)  # fmt: skip


def agent_profiles(count: int, machine: Machine) -> tuple[AgentProfile, ...]:
    """`count` agents n1, n2, ...: big, medium, small, simulated GPU, and again.

    Their memory adds up to no more than the machine has available. Their cores overlap: a core that two nodes
    share is slower for both, as in any cluster of virtual machines.
    """
    kinds = [_KINDS[index % len(_KINDS)] for index in range(count)]
    weights = sum(kind.memory_weight for kind in kinds)
    unit = machine.memory_mib * _AGENTS_MEMORY_SHARE / weights if weights else 0.0
    return tuple(
        _profile(index, kind, machine, memory_mib=int(kind.memory_weight * unit))
        for index, kind in enumerate(kinds)
    )


def _profile(index: int, kind: _Kind, machine: Machine, *, memory_mib: int) -> AgentProfile:
    millicores = max(_LEAST_MILLICORES, int(len(machine.cores) * 1000 * kind.core_share))
    needed = min(len(machine.cores), math.ceil(millicores / 1000))
    # The first of each kind's cores moves on with the index, so that small nodes lie beside each other.
    first = max(0, index - 1) * needed % len(machine.cores)
    turned = machine.cores[first:] + machine.cores[:first]
    return AgentProfile(
        name=f"n{index + 1}",
        node_class=kind.node_class,
        worker_type=kind.worker_type,
        architecture=machine.architecture,
        cores=tuple(sorted(turned[:needed])),
        millicores=millicores,
        memory_mib=memory_mib,
        accelerator=kind.accelerator,
        gpus=kind.gpus,
        labels=kind.labels,
    )


def describe(agents: Sequence[AgentProfile]) -> list[str]:
    """A line for each kind of agent: class, cores, memory, worker type, accelerator, and which they are."""
    kinds: dict[str, list[str]] = {}
    for agent in agents:
        kinds.setdefault(_kind_line(agent), []).append(agent.name)
    return [f"{line}: {', '.join(names)}" for line, names in kinds.items()]


def _kind_line(agent: AgentProfile) -> str:
    simulated = "simulated " if agent.labels.get("simulated") == "true" else ""
    accelerator = f"{simulated}{agent.accelerator}" if agent.accelerator else "no accelerator"
    cores = f"{agent.millicores / 1000:g} core{'' if agent.millicores == 1000 else 's'}"
    return f"{agent.node_class}: {cores}, {agent.memory_mib} MiB, {agent.worker_type}, {accelerator}"
