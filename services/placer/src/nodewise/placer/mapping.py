"""From claimed tasks to decisions: each run's own strategy, on one cluster. Pure; trusts no strategy's answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from random import Random
from typing import Final

from nodewise.core.anonymous import said
from nodewise.core.estimates.forecast import unlearned
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.feasibility import exclusion_of
from nodewise.core.model.decision import Decision, Deferral, Placement, Reason, ReasonCode
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster, NodeView
from nodewise.core.model.situation import Occupancy
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext, Predict, Strategy
from nodewise.placer.candidates import with_costs

_CLAIMS: Final = frozenset({ReasonCode.NO_ROOM, ReasonCode.NO_NODES, ReasonCode.UNSATISFIABLE})
"""Reasons that claim that no node could take the task."""
_LONGEST_TEXT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingContext:
    """What the strategies may use. `options` are the users' settings by strategy name.

    `costs_told`: whether each placement says what every candidate would have cost. It changes no decision.
    """

    strategies: Mapping[str, Strategy]
    now: datetime
    rng: Random
    previous_node: NodeName | None = None
    predict: Predict = unlearned
    running: Sequence[Occupancy] = ()
    link_mib_per_s: float = 100.0
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    costs_told: bool = False


def map_tasks(
    tasks: Sequence[WaitingTask], cluster: Cluster, context: MappingContext
) -> tuple[Decision, ...]:
    """One decision per task, in order. Neighbours with one strategy are decided by it together.

    A strategy that is unknown, fails or answers what may not be gives its own tasks a `Deferral`, and no others.
    """
    decisions: list[Decision] = []
    batches = [list(group) for _, group in groupby(tasks, key=lambda task: task.strategy)]
    for batch in batches:
        name, before = batch[0].strategy, cluster
        asked = _question(name, context)
        answer = _answer(name, context.strategies, batch, cluster=cluster, context=asked)
        cluster, checked = _checked(name, batch, cluster, answer)
        decisions += with_costs(batch, checked, before, asked) if context.costs_told else checked
        if batch is not batches[-1]:
            context = _after(context, batch, checked, cluster)
    return tuple(decisions)


def _question(name: str, context: MappingContext) -> PlacementContext:
    return PlacementContext(
        now=context.now,
        rng=context.rng,
        previous_node=context.previous_node,
        predict=context.predict,
        running=context.running,
        link_mib_per_s=context.link_mib_per_s,
        options=context.options.get(name, {}),
    )


def _after(
    context: MappingContext, tasks: Sequence[WaitingTask], decisions: Sequence[Decision], cluster: Cluster
) -> MappingContext:
    """What the next strategy may know: where these tasks went, and how long they are believed to stay there."""
    nodes = {view.name: view.node for view in cluster.nodes}
    placed = [
        Occupancy(
            ref=task.ref,
            node=decision.node,
            resources=effective_resources(task.spec),
            placed_at=context.now,
            prediction=context.predict(task.facts, nodes[decision.node]),
        )
        for task, decision in zip(tasks, decisions, strict=True)
        if isinstance(decision, Placement)
    ]
    if not placed:
        return context
    return replace(context, previous_node=placed[-1].node, running=(*context.running, *placed))


def _answer(
    name: str,
    strategies: Mapping[str, Strategy],
    tasks: Sequence[WaitingTask],
    *,
    cluster: Cluster,
    context: PlacementContext,
) -> Sequence[Decision]:
    strategy = strategies.get(name)
    if strategy is None:
        text = f"strategy {name!r} is not installed here; known: {', '.join(sorted(strategies))}"
        return _all_deferred(tasks, ReasonCode.UNKNOWN_STRATEGY, text)
    try:
        decisions = list(strategy.place(tasks, cluster, context))
    except Exception as error:
        text = f"strategy {name!r} failed: {said(error)}"
        return _all_deferred(tasks, ReasonCode.STRATEGY_RULE, text)
    if [decision.ref for decision in decisions] != [task.ref for task in tasks]:
        text = f"strategy {name!r} did not decide on each task once, in order"
        return _all_deferred(tasks, ReasonCode.STRATEGY_RULE, text)
    return decisions


def _all_deferred(tasks: Sequence[WaitingTask], code: ReasonCode, text: str) -> list[Decision]:
    # The text may hold what foreign code said: bounded, and without the one character that Postgres refuses.
    reason = Reason(code=code, text=text.replace("\x00", "")[:_LONGEST_TEXT])
    return [Deferral(ref=task.ref, reason=reason) for task in tasks]


def _checked(
    name: str, tasks: Sequence[WaitingTask], cluster: Cluster, decisions: Sequence[Decision]
) -> tuple[Cluster, list[Decision]]:
    """The cluster with these bookings, and the decisions: those that break a rule are deferred.

    A deferral of what some node could take is told as the strategy's own will, so that the queue does not take it
    for want of room and come back at once.
    """
    views = {view.name: view for view in cluster.nodes}
    checked: list[Decision] = []
    for task, decision in zip(tasks, decisions, strict=True):
        problem = _problem(task, decision, views, cluster)
        if problem is not None:
            text = f"strategy {name!r} {problem}"
            checked += _all_deferred([task], ReasonCode.STRATEGY_RULE, text)
            continue
        if isinstance(decision, Placement):
            views[decision.node] = views[decision.node].with_booking(effective_resources(task.spec))
        checked.append(decision)
    booked = Cluster(
        nodes=tuple(views.values()), taken_at=cluster.taken_at, staleness_limit=cluster.staleness_limit
    )
    return booked, checked


def _problem(
    task: WaitingTask, decision: Decision, views: Mapping[NodeName, NodeView], cluster: Cluster
) -> str | None:
    if "\x00" in decision.reason.text:
        return "gave a reason that cannot be stored"
    if isinstance(decision, Deferral):
        if decision.reason.code not in _CLAIMS:
            return None
        able = next((name for name, view in views.items() if not exclusion_of(task, view, cluster)), None)
        return None if able is None else f"waits although {able} could take it: {decision.reason.text}"
    view = views.get(decision.node)
    if view is None:
        return f"chose a node that the cluster does not have: {decision.node}"
    excluded = exclusion_of(task, view, cluster)
    return None if excluded is None else f"chose {decision.node}, which cannot take it: {excluded.text}"
