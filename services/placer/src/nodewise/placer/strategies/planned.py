"""The strategies of runs that are planned as a whole: the scheduler has planned, the placer carries it out.

A planner (`nodewise.planning`) and the strategy that carries out its plans have one name and one summary; a test compares
them, since to import planners is to load solvers, which no placer needs. All of these strategies do the same.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from nodewise.core.estimates.memory import effective_resources
from nodewise.core.model.decision import Decision
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster
from nodewise.core.model.task import WaitingTask
from nodewise.core.ports import PlacementContext
from nodewise.placer.candidates import costs_of
from nodewise.placer.costs import Cost, Prices, Told, told, told_interval
from nodewise.placer.placement import (
    MOST_TOLD,
    NAMED,
    Choice,
    WorkingCluster,
    listed,
    most_preferred,
    no_room,
    placement,
)

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
        return no_room(task, survey, working)
    costs = costs_of(task, survey, working, prices)
    able = {view.name: costs[view.name].cost for view in most_preferred(task, survey.feasible)}
    node = min(able, key=lambda name: (_finish(able[name]), name))
    decision = placement(task, survey, _choice(task, node, costs), working=working)
    prices.book(task, working.view(node))
    working.book(node, effective_resources(task.spec))
    return decision


def _choice(task: WaitingTask, node: NodeName, told_of: Mapping[NodeName, Told]) -> Choice:
    costs = {name: found.cost for name, found in told_of.items()}
    rivals = sorted((name for name in costs if name != node), key=lambda name: (_finish(costs[name]), name))
    sooner = [name for name in rivals if _finish(costs[name]) < _finish(costs[node])]
    scores = {name: told_of[name].scores for name in (node, *rivals)[:MOST_TOLD]}
    data = costs[node].transfer_seconds
    travel = f" after {told(data)} for its data" if data >= _NOTICEABLE else ""
    others = [_rival(name, costs[name]) for name in rivals[:NAMED]]
    text = f"{_lead(task, sooner)}: {told_interval(costs[node].run)}{travel}"
    return Choice(node=node, text=f"{text}; {listed(others, len(rivals))}" if others else text, scores=scores)


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
    return f"{name} about {told(cost.transfer_seconds + cost.run.median_seconds)}"


def _finish(cost: Cost) -> float:
    return _NEVER if cost.finish_seconds is None else cost.finish_seconds


class Heft(Planned):
    name = "heft"
    summary = "longest way to the end first, each task where it finishes first"


class Peft(Planned):
    name = "peft"
    summary = "like heft, but a node counts with what its choice makes of the tasks behind"


class Cpop(Planned):
    name = "cpop"
    summary = "the critical path together on its fastest node, the rest where it finishes first"


class MinMin(Planned):
    name = "min_min"
    summary = "of the ready tasks, the one that can finish first"


class MaxMin(Planned):
    name = "max_min"
    summary = "of the ready tasks, the one whose best finish is the latest"


class Sufferage(Planned):
    name = "sufferage"
    summary = "of the ready tasks, the one that loses most without its best node"


class FastestNode(Planned):
    name = "fastest_node"
    summary = "everything on the one node that is fastest for all"


class OwnFastestNode(Planned):
    name = "own_fastest_node"
    summary = "each task on its own fastest node, busy or not"


class Eft(Planned):
    name = "eft"
    summary = "the pipeline with the least work left first, each task where it finishes first"


class Exact(Planned):
    name = "exact"
    summary = "the optimum, proved, if the time is enough (small problems); else the portfolio's plan or a better one"


class Portfolio(Planned):
    name = "portfolio"
    summary = "the best plan of all others, then improved by search"
