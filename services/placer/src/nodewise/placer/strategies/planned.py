"""The strategies of runs that are planned as a whole: the scheduler has planned, the placer carries it out.

A planner (`nodewise.planning`) and the strategy that carries out its plans have one name. All of them do the same.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.model.decision import Decision
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext
from nodewise.placer.candidates import MOST_TOLD, costs_of
from nodewise.placer.costs import Cost, Prices, told, told_interval
from nodewise.placer.placement import (
    Choice,
    WorkingCluster,
    most_preferred,
    named,
    no_room,
    placement,
)
from nodewise.planning import cpop, eft, fastest_node, heft, max_min, min_min, peft, portfolio, sufferage

_NOTICEABLE: Final = 0.05
"""Seconds of transfer that are worth a word."""
_NEVER: Final = float("inf")


class Planned:
    """The node that the plan has admitted the task to; where there is no plan, the one that ends it first.

    The plan is the scheduler's, and it was made with the same figures as the costs that are told here: `Cost.finish_seconds` of
    every node, those without room included. A node that lost its room meanwhile gives a deferral: the task is planned again.
    O(nodes) predictions a task.
    """

    name: str
    summary: str

    def place(
        self, tasks: Sequence[WaitingTask], cluster: Cluster, context: PlacementContext
    ) -> Sequence[Decision]:
        working, prices = WorkingCluster(cluster), Prices(context)
        return tuple(_decide(task, working, prices) for task in tasks)


def _decide(task: WaitingTask, working: WorkingCluster, prices: Prices) -> Decision:
    survey = working.survey(task)
    if not survey.feasible:
        return no_room(task, survey)
    costs = costs_of(task, survey, working, prices)
    able = {view.name: costs[view.name] for view in most_preferred(task, survey.feasible)}
    node = min(able, key=lambda name: (_finish(able[name]), name))
    decision = placement(task, survey, _choice(task, node, costs), cluster=working.cluster)
    prices.book(task, working.view(node))
    working.book(node, effective_resources(task.spec))
    return decision


def _choice(task: WaitingTask, node: NodeName, costs: Mapping[NodeName, Cost]) -> Choice:
    rivals = sorted((name for name in costs if name != node), key=lambda name: (_finish(costs[name]), name))
    sooner = [name for name in rivals if _finish(costs[name]) < _finish(costs[node])]
    scores = {name: costs[name].scores() for name in (node, *rivals)[:MOST_TOLD]}
    data = costs[node].transfer_seconds
    travel = f" after {told(data)} for its data" if data >= _NOTICEABLE else ""
    others = [_rival(name, costs[name]) for name in rivals]
    text = f"{_lead(task, sooner)}: {told_interval(costs[node].run)}{travel}"
    return Choice(node=node, text=f"{text}; {named(others)}" if others else text, scores=scores)


def _lead(task: WaitingTask, sooner: Sequence[NodeName]) -> str:
    if task.allowed_nodes is None:
        return "ends first there"
    if not sooner:
        return "the plan ends it first there"
    return f"the plan has it there, though {sooner[0]} would end it sooner"


def _rival(name: NodeName, cost: Cost) -> str:
    if cost.wait_seconds is None:
        return f"{name} without room"
    if cost.wait_seconds > 0:
        return f"{name} free in {told(cost.wait_seconds)}"
    return f"{name} {told_interval(cost.run).partition(' (')[0]}"


def _finish(cost: Cost) -> float:
    return _NEVER if cost.finish_seconds is None else cost.finish_seconds


class Heft(Planned):
    name, summary = heft.Heft.name, heft.Heft.summary


class Peft(Planned):
    name, summary = peft.Peft.name, peft.Peft.summary


class Cpop(Planned):
    name, summary = cpop.Cpop.name, cpop.Cpop.summary


class MinMin(Planned):
    name, summary = min_min.MinMin.name, min_min.MinMin.summary


class MaxMin(Planned):
    name, summary = max_min.MaxMin.name, max_min.MaxMin.summary


class Sufferage(Planned):
    name, summary = sufferage.Sufferage.name, sufferage.Sufferage.summary


class FastestNode(Planned):
    name, summary = fastest_node.FastestNode.name, fastest_node.FastestNode.summary


class OwnFastestNode(Planned):
    name, summary = fastest_node.OwnFastestNode.name, fastest_node.OwnFastestNode.summary


class Eft(Planned):
    name, summary = eft.Eft.name, eft.Eft.summary


class Portfolio(Planned):
    name, summary = portfolio.Portfolio.name, portfolio.Portfolio.summary


class Exact(Planned):
    # The planner's own words, but not its module: that loads solvers, which no placer needs.
    name = "exact"
    summary = "the optimum, proved, if the time is enough (small problems); else the portfolio's plan or a better one"
