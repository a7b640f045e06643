"""All that was learned, as a value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

from nodewise.core.estimates.learning.facts import Observation
from nodewise.core.estimates.learning.quantity import MEMORY_MIB, SECONDS, input_size, log_speed, work_size
from nodewise.core.estimates.learning.samples import Sample, Samples

Pair = tuple[str, str]
"""Task class, node class."""


def _none() -> Mapping[Pair, Samples]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Beliefs:
    """What was seen of each pair, per quantity. The default has seen nothing.

    Run times are kept as seconds on the reference core that the node's facts promise, so that what is learned of a
    node is how far it is from its promise.
    """

    seconds: Mapping[Pair, Samples] = field(default_factory=_none)
    memory: Mapping[Pair, Samples] = field(default_factory=_none)

    def to_json(self) -> dict[str, object]:
        """A JSON value; `from_json` gives the same beliefs back."""
        return {"seconds": _rows(self.seconds), "memory": _rows(self.memory)}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Self:
        """The inverse of `to_json`.

        Raises:
            ValueError: It is not what `to_json` gives.
        """
        match value:
            case {"seconds": [*seconds], "memory": [*memory]}:
                return cls(seconds=_pairs(seconds), memory=_pairs(memory))
        raise ValueError("not beliefs: 'seconds' and 'memory' must be lists")


def seconds_sample(observation: Observation) -> Sample | None:
    """The observed run time as it is kept; None: it was not measured."""
    if observation.seconds is None:
        return None
    query = observation.query
    return (work_size(query), SECONDS.log(observation.seconds) + log_speed(query.node))


def memory_sample(observation: Observation) -> Sample | None:
    """The observed peak of memory as it is kept; None: it was not measured."""
    if observation.peak_memory_mib is None:
        return None
    return (input_size(observation.query), MEMORY_MIB.log(observation.peak_memory_mib))


def observe(beliefs: Beliefs, observation: Observation) -> Beliefs:
    """The beliefs after one more outcome. O(1) for the pair; the table of pairs is copied (`observe_all` copies once)."""
    return observe_all(beliefs, [observation])


def observe_all(beliefs: Beliefs, observations: Iterable[Observation]) -> Beliefs:
    """The beliefs after these outcomes, oldest first. O(observations + pairs)."""
    seconds, memory = dict(beliefs.seconds), dict(beliefs.memory)
    for observation in observations:
        pair = (observation.query.task_class, observation.query.node_class)
        _add(seconds, pair, seconds_sample(observation))
        _add(memory, pair, memory_sample(observation))
    return Beliefs(seconds=seconds, memory=memory)


def merge(older: Beliefs, newer: Beliefs) -> Beliefs:
    """What both have seen. O(pairs)."""
    return Beliefs(seconds=_merged(older.seconds, newer.seconds), memory=_merged(older.memory, newer.memory))


def _add(table: dict[Pair, Samples], pair: Pair, sample: Sample | None) -> None:
    if sample is not None:
        table[pair] = table.get(pair, Samples()).observed(sample)


def _merged(older: Mapping[Pair, Samples], newer: Mapping[Pair, Samples]) -> Mapping[Pair, Samples]:
    return dict(older) | {pair: older.get(pair, Samples()).merged(more) for pair, more in newer.items()}


def _rows(table: Mapping[Pair, Samples]) -> list[object]:
    return [[*pair, samples.to_json()] for pair, samples in sorted(table.items(), key=lambda item: item[0])]


def _pairs(rows: Iterable[object]) -> dict[Pair, Samples]:
    table: dict[Pair, Samples] = {}
    for row in rows:
        match row:
            case [str(task_class), str(node_class), dict(samples)]:
                table[(task_class, node_class)] = Samples.from_json(samples)
            case _:
                raise ValueError(f"not a pair and its samples: {row!r}")
    return table
