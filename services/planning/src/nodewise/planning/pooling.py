"""Beliefs about single tasks, made to agree: what tasks of one class tell about nodes is worth more than one task's word.

Whoever chooses among ten nodes by ten guesses mostly chooses the one that was guessed too low. Tasks of one class are
alike in how much faster one node is than another, so a guess that says otherwise is moved towards what its class says,
the more so the less sure it is of itself, and the less so the more its class differs beyond what unsure guesses explain.
Beliefs that agree already, such as those of a learned model, stay as they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import exp, log
from statistics import NormalDist
from typing import Final

from nodewise.core.estimates.learning import Prediction
from nodewise.core.model.ids import NodeName

OWN_FIT: Final = 0.1
"""By so much (as a standard deviation of the logarithm) tasks of one class differ at least in how they suit a node."""

_SAME: Final = 1e-9

Kind = tuple[str, tuple[NodeName, ...]]
"""A task class, and the nodes that can take a task of it."""

Guesses = Mapping[NodeName, Prediction]


@dataclass(frozen=True, slots=True)
class Said:
    """What tasks of one kind have said: per node, the sum of how much longer than elsewhere they take (logarithms).

    `squares` is the sum of the squares of all of these, whatever the node.
    """

    tasks: int
    sums: tuple[float, ...]
    squares: float = 0.0

    def variance(self) -> float:
        """How much tasks of this kind say different things, noise included, over all nodes; 0 where one alone spoke."""
        if self.tasks < 2:
            return 0.0
        around = self.squares - sum(total * total for total in self.sums) / self.tasks
        return max(0.0, around) / ((self.tasks - 1) * len(self.sums))


def heard(said: Mapping[Kind, Said], new: Iterable[tuple[str, Guesses]]) -> dict[Kind, Said]:
    """What has been said with what is said now, by task class and guesses; O(tasks x nodes)."""
    found = dict(said)
    for task_class, guesses in new:
        ratios = _ratios(guesses)
        if ratios is not None:
            kind = (task_class, tuple(guesses))
            before = found.get(kind, Said(0, (0.0,) * len(ratios)))
            sums = tuple(a + b for a, b in zip(before.sums, ratios, strict=True))
            squares = before.squares + sum(ratio * ratio for ratio in ratios)
            found[kind] = Said(before.tasks + 1, sums, squares)
    return found


def agreed(said: Mapping[Kind, Said], task_class: str, guesses: Guesses) -> Guesses:
    """The guesses of one task after it has listened: empirical Bayes, median and interval moved alike; O(nodes)."""
    kind, ratios = said.get((task_class, tuple(guesses))), _ratios(guesses)
    if kind is None or ratios is None:
        return guesses
    common, variance = (total / kind.tasks for total in kind.sums), kind.variance()
    moves = [
        _trust_in_others(guess, variance) * (theirs - own)
        for guess, theirs, own in zip(guesses.values(), common, ratios, strict=True)
    ]
    if max(map(abs, moves)) < _SAME:
        return guesses
    return {name: _moved(guesses[name], exp(move)) for name, move in zip(guesses, moves, strict=True)}


def _ratios(guesses: Guesses) -> list[float] | None:
    """How much longer on each node than in the (geometric) mean; None where there is nothing to compare."""
    medians = [guess.median_seconds for guess in guesses.values()]
    if len(medians) < 2 or min(medians) <= 0:
        return None
    logs = [log(median) for median in medians]
    mean = sum(logs) / len(logs)
    return [own - mean for own in logs]


def _trust_in_others(guess: Prediction, variance: float) -> float:
    """The share of a guess's deviation that is noise: by its own interval, and by how much its kind differs."""
    if guess.low <= 0 or guess.high <= guess.low:
        return 0.0
    noise = log(guess.high / guess.low) / (2 * NormalDist().inv_cdf(0.5 + guess.level / 2))
    return noise**2 / (noise**2 + max(OWN_FIT**2, variance - noise**2))


def _moved(guess: Prediction, factor: float) -> Prediction:
    return replace(
        guess,
        median_seconds=guess.median_seconds * factor,
        low=guess.low * factor,
        high=guess.high * factor,
    )
