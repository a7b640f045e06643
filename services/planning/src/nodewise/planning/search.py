"""Anytime local search from a given plan, in slices, so that several can take turns."""

from collections.abc import Callable, Sequence
from random import Random

from nodewise.core.model.problem import Objective
from nodewise.planning.decoder import Decoder, Solution
from nodewise.planning.moves import (
    Move,
    move_critical,
    move_pipeline,
    move_tasks,
    renew_window,
    swap_nodes,
)
from nodewise.planning.score import Score

Worth = Callable[[Score], float]

MEMORY = 50
"""Steps that late acceptance looks back; longer searches wider and slower."""


def moves_for(objective: Objective, pipelines: int) -> tuple[Move, ...]:
    """The moves worth trying; a move that stands twice is tried twice as often."""
    if pipelines < 2:
        return (move_critical, move_tasks, move_tasks, swap_nodes, renew_window)
    if objective is Objective.MAKESPAN:
        return (move_critical, move_critical, move_tasks, swap_nodes, renew_window)
    return (move_critical, move_tasks, swap_nodes, renew_window, move_pipeline)


class LateAcceptance:
    """Late acceptance hill climbing: a step may be worse than the last one, but not than the one 50 steps ago.

    Burke, Bykov: "The late acceptance hill-climbing heuristic", EJOR 258(1), 2017. Each step is O(tasks x parents).

    Attributes:
        best: The best solution so far.
        vain: Steps since it was found.
    """

    def __init__(
        self, decoder: Decoder, start: Solution, *, worth: Worth, moves: Sequence[Move], rng: Random
    ) -> None:
        self._decoder = decoder
        self._moves = moves
        self._rng = rng
        self._step = 0
        self._worth = worth
        self.vain = 0
        self._begin(start)

    def run(self, placements: int, out_of_time: Callable[[], bool], *, vain_steps: int) -> None:
        """Search until so many tasks are placed, time is out or too many steps were in vain."""
        end = self._decoder.placed + placements
        while self._decoder.placed < end and self.vain < vain_steps and not out_of_time():
            self._advance()

    def measure(self, worth: Worth, known: Sequence[Solution]) -> None:
        """Go on by another measure, from the best of what was found here and what is known."""
        self._worth = worth
        best = min((self.best, *known), key=lambda solution: worth(solution.score))
        if best is not self.best:
            self.vain = 0
        self._begin(best)

    def _begin(self, start: Solution) -> None:
        self.best = self._current = start
        self._best_worth = self._current_worth = self._worth(start.score)
        self._memory = [self._best_worth] * MEMORY

    def _advance(self) -> None:
        order, nodes = self._rng.choice(self._moves)(self._decoder.instance, self._current, self._rng)
        found = self._decoder.decode(order, nodes)
        worth, slot = self._worth(found.score), self._step % MEMORY
        if worth <= self._current_worth or worth <= self._memory[slot]:
            self._current, self._current_worth = found, worth
        self._memory[slot] = self._current_worth
        self._step += 1
        self.vain += 1
        if worth < self._best_worth:
            self.best, self._best_worth, self.vain = found, worth, 0
