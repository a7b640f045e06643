from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from random import Random
from types import MappingProxyType

from nodewise.core.model.problem import Objective, PlanningContext
from nodewise.planning.blends import blends
from nodewise.planning.cpop import cpop
from nodewise.planning.decoder import Decoder, Solution
from nodewise.planning.eft import eft
from nodewise.planning.fastest_node import fastest_node, own_fastest_node
from nodewise.planning.heft import heft
from nodewise.planning.indexed import IndexedPlanner
from nodewise.planning.instance import Instance
from nodewise.planning.list_scheduling import OutOfTime, PartialPlan, giving_up, never
from nodewise.planning.max_min import max_min
from nodewise.planning.min_min import min_min
from nodewise.planning.peft import peft
from nodewise.planning.rankings import rankings
from nodewise.planning.score import Score, value
from nodewise.planning.search import LateAcceptance, Worth, moves_for
from nodewise.planning.sufferage import sufferage

Member = Callable[[Instance, Callable[[], bool]], PartialPlan]
"""Of an indexed problem and of what says that time is out."""

QUICK_MEMBERS: Mapping[str, Member] = MappingProxyType(
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

THOROUGH_MEMBERS: Mapping[str, Member] = MappingProxyType(
    {"min_min": min_min, "max_min": max_min, "sufferage": sufferage}
)
"""Many passes: from a few thousand tasks on they take seconds."""

LARGE = 5_000
"""Tasks x nodes above which a plan is given up when time runs out; below, what was begun is finished, since that takes a tenth of a second."""

VERY_LARGE = 100_000
"""Tasks x nodes above which `eft` takes several times as long as `heft`, which fills few gaps."""

TURN = 50
"""Steps of a search before the next one has its turn."""

TURNS = 16
"""So many turns there are at least, however little is to be done."""


class Portfolio(IndexedPlanner):
    """The best of all members, `blends` and `rankings`, made better by local search: never worse than any member on the problem at hand.

    With `BALANCED` the search first looks a while for the best makespan alone and the best mean flow alone, since these
    are what the plan is measured by, then for the plan that is nearest to both (see `score.value`). Without a clock the
    search ends after `placements` placed tasks or `vain_steps` steps without improvement, so equal inputs give equal plans.
    When time runs out earlier, the best of what has run is taken: first one quick member, which is never given up, then the
    blends, then the other members, quick ones first.
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

    def on(self, instance: Instance, context: PlanningContext) -> PartialPlan:
        effort = Effort(placements=self._placements, vain_steps=self._vain_steps)
        return improve(Decoder(instance), context, effort).best.plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is done for a plan.

    Attributes:
        placements: Tasks placed by the search in all.
        vain_steps: Steps without improvement that end a search.
        afresh: Whether all members and blends are run. Without, the search begins with what is known.
    """

    placements: int
    vain_steps: int = 5_000
    afresh: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """What a search ends with: the plan to take; for `BALANCED` its yardsticks, too: the best in each alone."""

    best: Solution
    shortest: Solution
    soonest: Solution


def improve(
    decoder: Decoder, context: PlanningContext, effort: Effort, *, known: Sequence[Solution] = ()
) -> Found:
    """The search of `Portfolio` on an indexed problem.

    Args:
        decoder: Of what is to be planned.
        context: Its chance and clock, and what is to be least.
        effort: How much is done. Where nothing is known, all is begun afresh.
        known: Solutions from elsewhere, the one that is to be kept unless a better one is found first.
    """
    if not decoder.instance.free:
        return _all_one(decoder.solution(heft(decoder.instance)))
    afresh = effort.afresh or not known
    first = {} if known else _quickest(decoder.instance, context.objective, context.out_of_time)
    starts = [*known, *_run_blends(decoder, context.out_of_time)] if afresh else [*known]
    members = _run_members(decoder, first, context.out_of_time) if afresh else []
    if context.objective is Objective.BALANCED and len(decoder.instance.problem.pipelines) > 1:
        return _balanced(_Begun(decoder, members, starts + members), context, effort)
    # Of one pipeline makespan and flow time are the same.
    alone = context.objective is Objective.BALANCED
    objective = Objective.MAKESPAN if alone else context.objective
    search = _search(decoder, starts + members, objective=objective, rng=context.rng)
    search.run(effort.placements, context.out_of_time, vain_steps=effort.vain_steps)
    return _all_one(search.best)


def _all_one(solution: Solution) -> Found:
    return Found(solution, solution, solution)


@dataclass(frozen=True, slots=True)
class _Begun:
    """What a search begins with: `starts` has all that there is, `members` what the plan must not be worse than."""

    decoder: Decoder
    members: list[Solution]
    starts: list[Solution]


def _balanced(begun: _Begun, context: PlanningContext, effort: Effort) -> Found:
    """Three searches in turns: what the first two find is the yardstick of the third, and where it may go on from."""
    decoder, out_of_time = begun.decoder, context.out_of_time
    shortest, soonest, both = (
        _search(decoder, begun.starts, objective=objective, rng=context.rng)
        for objective in (Objective.MAKESPAN, Objective.MEAN_FLOW, Objective.BALANCED)
    )
    end, known = decoder.placed + effort.placements, (shortest.best, soonest.best)
    free = len(decoder.instance.free)
    turn = min(TURN * free, max(free, effort.placements // TURNS))
    while decoder.placed < end and both.vain < effort.vain_steps and not out_of_time():
        for search, turns in ((shortest, 1), (soonest, 1), (both, 2)):
            slice_ = min(turns * turn, end - decoder.placed)
            search.run(slice_, out_of_time, vain_steps=effort.vain_steps)
        if (shortest.best, soonest.best) != known:
            known = (shortest.best, soonest.best)
            both.measure(_worth(Objective.BALANCED, known), (*known, *begun.starts))
    # That yardstick is finer than the members' own; by theirs, too, the plan must not be worse than any of them. Where
    # time was out after the first one, that one alone is no yardstick: it would beat everything by its own measure.
    least = begun.members if len(begun.members) > 1 else [both.best, *begun.starts]
    best = min((both.best, *begun.members), key=lambda s: _worth(Objective.BALANCED, least)(s.score))
    return Found(best, shortest.best, soonest.best)


def _quickest(
    instance: Instance, objective: Objective, out_of_time: Callable[[], bool]
) -> dict[str, PartialPlan]:
    """What there is at least, by the member's name: it takes the time that it takes. Of a large problem another one, too, if there is time."""
    is_very_large = len(instance.free) * len(instance.problem.nodes) > VERY_LARGE
    if objective is Objective.MAKESPAN:
        return {"heft": heft(instance)}
    if not is_very_large:
        return {"eft": eft(instance)}
    found = {"heft": heft(instance)}
    with suppress(OutOfTime):
        found["eft"] = eft(instance, giving_up(out_of_time))
    return found


def _run_members(
    decoder: Decoder, first: Mapping[str, PartialPlan], out_of_time: Callable[[], bool]
) -> list[Solution]:
    """The members' plans in their order: `first`, and as many more as there is time for."""
    given_up, plans = _given_up(decoder.instance, out_of_time), dict(first)
    members = {**QUICK_MEMBERS, **THOROUGH_MEMBERS}
    with suppress(OutOfTime):
        for name in [name for name in members if name not in plans]:
            if out_of_time():
                break
            plans[name] = members[name](decoder.instance, given_up)
    return [decoder.solution(plans[name]) for name in members if name in plans]


def _given_up(instance: Instance, out_of_time: Callable[[], bool]) -> Callable[[], bool]:
    """What a single plan asks for the time."""
    is_large = len(instance.free) * len(instance.problem.nodes) > LARGE
    return giving_up(out_of_time) if is_large else never


def _run_blends(decoder: Decoder, out_of_time: Callable[[], bool]) -> list[Solution]:
    found: list[Solution] = []
    if out_of_time():
        return found
    instance, given_up = decoder.instance, _given_up(decoder.instance, out_of_time)
    with suppress(OutOfTime):
        for plan in chain(blends(instance, given_up), rankings(instance, given_up)):
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
