"""The port: where figures come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A node to observe. `metrics_url` is where it serves its own metrics (None: it did not say)."""

    name: NodeName
    metrics_url: str | None = None


@runtime_checkable
class MetricsSource(Protocol):
    """Reads what nodes are doing. Its contract suite stands in tests/contracts."""

    name: str

    def observe(self, nodes: Sequence[Target]) -> Mapping[NodeName, Observation]:
        """What is known now of each of `nodes`.

        A figure carries the time at which the node was measured, never that of the question. What cannot be read is
        absent or None: never zero, never invented.

        Raises:
            Unavailable: The source as a whole does not answer.
        """
        ...

    def close(self) -> None:
        """Release connections."""
        ...
