from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType

from nodewise.core.model.problem import Objective, PlanningContext, Problem, Schedule
from nodewise.planning.blends import blends
from nodewise.planning.cpop import cpop
from nodewise.planning.decoder import Decoder, Solution
from nodewise.planning.eft import eft
from nodewise.planning.fastest_node import fastest_node, own_fastest_node
from nodewise.planning.heft import heft
from nodewise.planning.instance import Instance, index
from nodewise.planning.list_scheduling import PartialPlan
from nodewise.planning.max_min import max_min
from nodewise.planning.min_min import min_min
from nodewise.planning.peft import peft
from nodewise.planning.score import Score, value
from nodewise.planning.search import LateAcceptance, Worth, moves_for
from nodewise.planning.sufferage import sufferage

QUICK_MEMBERS: Mapping[str, Callable[[Instance], PartialPlan]] = MappingProxyType(
    {
        "heft": heft,
        "eft": eft,
        "fastest_node": fastest_node,
        "own_fastest_node": own_fastest_node,
        "cpop": cpop,
        "peft": peft,
    }
)
"""One pass over the tasks each."""

THOROUGH_MEMBERS: Mapping[str, Callable[[Instance, Callable[[], bool]], PartialPlan]] = MappingProxyType(
    {"min_min": min_min, "max_min": max_min, "sufferage": sufferage}
)
"""Many passes: from a few thousand tasks on they take seconds, so they are told when time is out."""

TURN = 50
"""Steps of a search before the next one has its turn."""


class Portfolio:
    """The best of all members and `blends`, made better by local search: never worse than any member on the problem at hand.

    With `BALANCED` the search first looks a while for the best makespan alone and the best mean flow alone, since these
    are what the plan is measured by, then for the plan that is nearest to both (see `score.value`). Without a clock the
    search ends after `placements` placed tasks or `vain_steps` steps without improvement, so equal inputs give equal plans.
    When time runs out earlier, the best of what has run is taken: blends come first, then the members, quick ones first.
    """

    name = "portfolio"
    summary = "the best plan of all others, then improved by search"

    def __init__(self, *, placements: int = 1_000_000, vain_steps: int = 5_000) -> None:
        """Bound the search.

        Args:
            placements: Tasks placed by the search in all; about 500,000 a second.
            vain_steps: Steps without improvement that end a search (of which `BALANCED` has three).
        """
        self._placements = placements
        self._vain_steps = vain_steps

    def plan(self, problem: Problem, context: PlanningContext) -> Schedule:
        instance = index(problem)
        decoder = Decoder(instance)
        if not instance.free:
            return heft(instance).schedule()
        starts = _run_blends(decoder, context.out_of_time)
        members = _run_members(decoder, context.out_of_time)
        if context.objective is Objective.BALANCED:
            return self._balanced(decoder, members, starts=starts + members, context=context).plan.schedule()
        search = _search(decoder, starts + members, objective=context.objective, rng=context.rng)
        search.run(self._placements, context.out_of_time, vain_steps=self._vain_steps)
        return search.best.plan.schedule()

    def _balanced(
        self,
        decoder: Decoder,
        members: list[Solution],
        *,
        starts: list[Solution],
        context: PlanningContext,
    ) -> Solution:
        """Three searches in turns: what the first two find is the yardstick of the third, and where it may go on from."""
        shortest, soonest, both = (
            _search(decoder, starts, objective=objective, rng=context.rng)
            for objective in (Objective.MAKESPAN, Objective.MEAN_FLOW, Objective.BALANCED)
        )
        end, known = decoder.placed + self._placements, (shortest.best, soonest.best)
        while decoder.placed < end and both.vain < self._vain_steps and not context.out_of_time():
            for search, turns in ((shortest, 1), (soonest, 1), (both, 2)):
                slice_ = min(turns * TURN * len(decoder.instance.free), end - decoder.placed)
                search.run(slice_, context.out_of_time, vain_steps=self._vain_steps)
            if (shortest.best, soonest.best) != known:
                known = (shortest.best, soonest.best)
                both.measure(_worth(Objective.BALANCED, known), (*known, *starts))
        # That yardstick is finer than the members' own; by theirs, too, the plan must not be worse than any of them.
        return min((both.best, *members), key=lambda s: _worth(Objective.BALANCED, members)(s.score))


def _run_members(decoder: Decoder, out_of_time: Callable[[], bool]) -> list[Solution]:
    """The members' plans, as many as there is time for, the quick ones first."""
    instance = decoder.instance
    plans: list[PartialPlan] = []
    for quick in QUICK_MEMBERS.values():
        if not plans or not out_of_time():
            plans.append(quick(instance))
    plans += [thorough(instance, out_of_time) for thorough in THOROUGH_MEMBERS.values() if not out_of_time()]
    return [decoder.solution(plan) for plan in plans]


def _run_blends(decoder: Decoder, out_of_time: Callable[[], bool]) -> list[Solution]:
    found: list[Solution] = []
    if not out_of_time():
        for plan in blends(decoder.instance):
            found.append(decoder.solution(plan))
            if out_of_time():
                break
    return found


def _search(
    decoder: Decoder, members: Sequence[Solution], *, objective: Objective, rng: Random
) -> LateAcceptance:
    """A search for an objective, that begins with the best of the plans there are."""
    worth = _worth(objective, members)
    start = min(members, key=lambda solution: worth(solution.score))
    moves = moves_for(objective, len(decoder.instance.problem.pipelines))
    return LateAcceptance(decoder, start, worth=worth, moves=moves, rng=rng)


def _worth(objective: Objective, known: Sequence[Solution]) -> Worth:
    best = Score(min(s.score.makespan for s in known), min(s.score.mean_flow for s in known))
    return lambda result: value(result, objective, best=best)
