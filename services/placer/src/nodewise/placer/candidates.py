"""What every candidate would have cost, told beside each placement, whichever strategy made it. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.model.decision import Candidate, Decision, Placement, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext
from nodewise.placer.costs import Ask, Prices, Told
from nodewise.placer.placement import MOST_TOLD, Survey, WorkingCluster

_MARK: Final = "finish_seconds"


def with_costs(
    tasks: Sequence[WaitingTask], decisions: Sequence[Decision], cluster: Cluster, context: PlacementContext
) -> list[Decision]:
    """The same decisions, each placement with the costs of its candidates. O(tasks x min(nodes, 50)) predictions.

    Nodes that a strategy did not mention are added; of more than 50 nodes the rest are counted. What waiting does not cure
    is not priced. Costs that a strategy told are left as they are.

    Args:
        tasks: Of the decisions, in the same order.
        decisions: Valid ones.
        cluster: As it was before these decisions.
        context: What the strategy was given.
    """
    working, prices = WorkingCluster(cluster), Prices(context)
    pricing = _Pricing(working, prices)
    found: list[Decision] = []
    for task, decision in zip(tasks, decisions, strict=True):
        if not isinstance(decision, Placement):
            found.append(decision)
            continue
        candidates, more = _counted(task, decision, working)
        found.append(replace(decision, candidates=pricing.priced(task, candidates), more=more))
        prices.book(task, working.view(decision.node))
        working.book(decision.node, effective_resources(task.spec))
    return found


def costs_of(
    task: WaitingTask, survey: Survey, working: WorkingCluster, prices: Prices
) -> Mapping[NodeName, Told]:
    """What each node of a survey would cost, but for those that can never take the task; at most 50 without room."""
    ask = prices.of(task)
    lasting = [found for found in survey.exclusions if not found.permanent][:MOST_TOLD]
    return {view.name: ask(view) for view in survey.feasible} | {
        found.node: ask(working.view(found.node), found) for found in lasting
    }


class _Pricing:
    """Adds costs to candidates, and gives the very candidate again of which all is the very same."""

    def __init__(self, working: WorkingCluster, prices: Prices) -> None:
        self._working = working
        self._prices = prices
        # By identity: both are kept, so that no other object gets theirs.
        self._known: dict[tuple[int, int], tuple[Candidate, Candidate, Told]] = {}

    def priced(self, task: WaitingTask, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        if any(_MARK in one.scores for one in candidates):
            return candidates
        ask = self._prices.of(task)
        return tuple([self._one(one, ask) for one in candidates])

    def _one(self, one: Candidate, ask: Ask) -> Candidate:
        if one.exclusion is not None and one.exclusion.permanent:
            return one
        told = ask(self._working.view(one.node), one.exclusion)
        pair = (id(one), id(told))
        if pair not in self._known:
            both = Candidate(node=one.node, scores={**one.scores, **told.scores}, exclusion=one.exclusion)
            self._known[pair] = (both, one, told)
        return self._known[pair][0]


def _counted(
    task: WaitingTask, placement: Placement, working: WorkingCluster
) -> tuple[tuple[Candidate, ...], Mapping[ReasonCode | None, int]]:
    """The strategy's candidates that the cluster has, and the nodes that it did not mention: those that are told, and how many more."""
    given = {one.node: one for one in placement.candidates if working.has(one.node)}
    more = Counter(placement.more)
    if len(given) + more.total() != len(working.cluster.nodes):
        survey = working.survey(task)
        found = [working.candidate(view.name) for view in survey.feasible]
        found += [working.candidate(out.node, excluded=out) for out in survey.exclusions]
        given, more = {one.node: one for one in found} | given, Counter()
    ranked = (
        sorted(given.values(), key=lambda one: _rank(one, placement.node)) if len(given) > MOST_TOLD else ()
    )
    for one in ranked[MOST_TOLD:]:
        more[one.exclusion.code if one.exclusion else None] += 1
        del given[one.node]
    return tuple(given[name] for name in sorted(given)), more


def _rank(one: Candidate, chosen: NodeName) -> tuple[bool, bool, bool, bool, str]:
    lasting = one.exclusion is not None and one.exclusion.permanent
    return (one.node != chosen, not one.scores, one.exclusion is not None, lasting, one.node)
