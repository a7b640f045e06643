"""How Kubernetes lets a task choose its nodes, and a node's owner keep tasks off. Pure values; other clusters leave them empty."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

HOSTNAME: Final = "kubernetes.io/hostname"
"""The label by which a node is named. On some clouds its value is not the node's name."""
_OF_KUBERNETES: Final = "node.kubernetes.io/"
_NAME_FIELD: Final = "metadata.name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """What keeps off a node whoever does not tolerate it."""

    key: str
    effect: str
    value: str = ""

    @property
    def keeps_off(self) -> bool:
        """Whether a pod needs a toleration of it."""
        return self.effect != "PreferNoSchedule"

    @property
    def says_unwell(self) -> bool:
        """Whether Kubernetes itself set it, because the node is not well: nothing of ours tolerates that."""
        return self.key.startswith(_OF_KUBERNETES)

    @property
    def cordons(self) -> bool:
        """Whether it says that the node takes nothing new, whoever asks, until it is uncordoned."""
        return self.key == CORDON.key

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


CORDON: Final = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
"""What Kubernetes gives a node that is cordoned, and we one of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """Empty texts mean any. `exists`: whatever the value."""

    key: str = ""
    value: str = ""
    effect: str = ""
    exists: bool = False

    def covers(self, taint: Taint) -> bool:
        if self.effect not in ("", taint.effect):
            return False
        if self.exists:
            return self.key in ("", taint.key)
        return (self.key, self.value) == (taint.key, taint.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeExpression:
    """One line of a node affinity: a label (or field), an operator of Kubernetes, its values."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels fulfil it. An operator that is unknown is fulfilled by none."""
        test = _OPERATORS.get(self.operator)
        return test is not None and test(labels.get(self.key), self.values)

    def __str__(self) -> str:
        return " ".join([self.key, self.operator, *([f"({', '.join(self.values)})"] if self.values else [])])


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTerm:
    """One alternative of a node affinity: all of its lines must hold."""

    labels: tuple[NodeExpression, ...] = ()
    fields: tuple[NodeExpression, ...] = ()

    def holds(self, name: str, labels: Mapping[str, str]) -> bool:
        named = {_NAME_FIELD: name}
        return all(one.holds(labels) for one in self.labels) and all(one.holds(named) for one in self.fields)

    def __str__(self) -> str:
        return " and ".join(str(one) for one in (*self.labels, *self.fields)) or "(anything)"


def _compares(found: str | None, values: tuple[str, ...], *, greater: bool) -> bool:
    try:
        left, right = int(found or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return left > right if greater else left < right


_OPERATORS: Final[Mapping[str, Callable[[str | None, tuple[str, ...]], bool]]] = MappingProxyType(
    {
        "In": lambda found, values: found in values,
        "NotIn": lambda found, values: found not in values,
        "Exists": lambda found, _: found is not None,
        "DoesNotExist": lambda found, _: found is None,
        "Gt": lambda found, values: _compares(found, values, greater=True),
        "Lt": lambda found, values: _compares(found, values, greater=False),
    }
)
