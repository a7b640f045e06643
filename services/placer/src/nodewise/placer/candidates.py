"""What every candidate would have cost, told beside each placement, whichever strategy made it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.model.decision import Candidate, Decision, Placement
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext
from nodewise.placer.costs import Cost, Prices
from nodewise.placer.placement import Survey, WorkingCluster

MOST_TOLD: Final = 50
"""Of so many nodes the costs are told: the chosen one, those with room, then those that are full. The rest say so."""

_MARK: Final = "finish_seconds"
_NOT_TOLD: Final = {"costs": f"told of {MOST_TOLD} nodes only"}


def with_costs(
    tasks: Sequence[WaitingTask], decisions: Sequence[Decision], cluster: Cluster, context: PlacementContext
) -> list[Decision]:
    """The same decisions, each placement with the costs of its candidates. O(tasks x min(nodes, 50)) predictions.

    Nodes that a strategy did not mention are added. What waiting does not cure is not priced. Placements whose
    strategy told costs are left as they are.

    Args:
        tasks: Of the decisions, in the same order.
        decisions: Valid ones.
        cluster: As it was before these decisions.
        context: What the strategy was given.
    """
    working, prices = WorkingCluster(cluster), Prices(context)
    found: list[Decision] = []
    for task, decision in zip(tasks, decisions, strict=True):
        if not isinstance(decision, Placement):
            found.append(decision)
            continue
        found.append(replace(decision, candidates=_told(task, decision, working, prices)))
        prices.book(task, working.view(decision.node))
        working.book(decision.node, effective_resources(task.spec))
    return found


def costs_of(
    task: WaitingTask, survey: Survey, working: WorkingCluster, prices: Prices
) -> Mapping[NodeName, Cost]:
    """What each node of a survey would cost, but for those that can never take the task; at most 50 without room."""
    lasting = [found for found in survey.exclusions if not found.permanent][:MOST_TOLD]
    return {view.name: prices.cost(task, view) for view in survey.feasible} | {
        found.node: prices.cost(task, working.view(found.node), found) for found in lasting
    }


def _told(
    task: WaitingTask, placement: Placement, working: WorkingCluster, prices: Prices
) -> tuple[Candidate, ...]:
    candidates = _all(task, placement, working)
    if any(_MARK in candidate.scores for candidate in candidates):
        return candidates
    priced = sorted(
        (one for one in candidates if one.exclusion is None or not one.exclusion.permanent),
        key=lambda one: (one.node != placement.node, one.exclusion is not None, one.node),
    )
    scores: dict[NodeName, Mapping[str, float | str | None]] = {
        one.node: prices.cost(task, working.view(one.node), one.exclusion).scores()
        for one in priced[:MOST_TOLD]
    }
    scores |= {one.node: _NOT_TOLD for one in priced[MOST_TOLD:]}
    return tuple(replace(one, scores={**one.scores, **scores.get(one.node, {})}) for one in candidates)


def _all(task: WaitingTask, placement: Placement, working: WorkingCluster) -> tuple[Candidate, ...]:
    """The strategy's candidates that the cluster has, and the nodes that it did not mention."""
    given = {one.node: one for one in placement.candidates if working.has(one.node)}
    if len(given) < len(working.cluster.nodes):
        survey = working.survey(task)
        found = [Candidate(node=view.name) for view in survey.feasible]
        found += [Candidate(node=excluded.node, exclusion=excluded) for excluded in survey.exclusions]
        given = {one.node: one for one in found} | given
    return tuple(given[name] for name in sorted(given))
