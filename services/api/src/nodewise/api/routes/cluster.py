"""The nodes, the queue, and what decides between them."""

from datetime import datetime
from typing import Any

import structlog
from fastapi import APIRouter

from nodewise.api.auth.caller import Called, Caller
from nodewise.api.problems import not_found
from nodewise.api.routes.documented import problems
from nodewise.api.schemas import Node, NodeList, PolicyList, Queue, StrategyList
from nodewise.api.views import node_view, queue_view, waiting_view
from nodewise.api.wiring import Services, Wired
from nodewise.core import plugins
from nodewise.core.cluster import load_observations
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.nodes import set_cordon
from nodewise.core.db.queries.nodes_read import all_nodes
from nodewise.core.db.queries.pending import waiting_for_inputs
from nodewise.core.db.queries.tasks_read import queue_counts, queued_tasks
from nodewise.core.messages import WAKE_SCHEDULER
from nodewise.core.model.ids import NodeName
from nodewise.core.model.node import Cluster, Observation
from nodewise.core.ports import Policy, Strategy

router = APIRouter(tags=["cluster"], prefix="/v1")
_log = structlog.get_logger()
_QUEUE_LIMIT = 200
_MOST_RUNS = 50
_MOST_TASKS = 5
"""Of a run that waits for inputs so many tasks are listed; the rest is counted."""


@router.get("/nodes", response_model=NodeList, responses=problems(503))
def list_nodes(services: Wired) -> Any:
    """Every node: what it is, what is booked on it, and what it was last seen doing, with the age of each figure."""
    with transaction(services.engine) as connection:
        rows = all_nodes(connection)
    observed = load_observations(services.redis)
    moment = _moment(services)
    return {"items": [node_view(row, observed.get(row.view.name, Observation()), moment) for row in rows]}


@router.post("/nodes/{name}/cordon", response_model=Node, responses=problems(404, 503))
def cordon(name: str, services: Wired, caller: Called) -> Any:
    """Let a node take nothing new; what it runs goes on. It stays so whoever restarts, until it is uncordoned. Twice is fine."""
    return _cordoned(services, caller, name, at=services.clock())


@router.post("/nodes/{name}/uncordon", response_model=Node, responses=problems(404, 503))
def uncordon(name: str, services: Wired, caller: Called) -> Any:
    """Let it take tasks again. Twice is fine."""
    return _cordoned(services, caller, name, at=None)


def _cordoned(services: Services, caller: Caller, name: str, *, at: datetime | None) -> dict[str, object]:
    with transaction(services.engine) as connection:
        # A name that text in a database cannot be is none of a node.
        if "\0" in name or not set_cordon(connection, NodeName(name), at=at):
            raise not_found("node", name[:200])
        row = next(row for row in all_nodes(connection) if row.view.name == name)
    _log.info(
        "a node takes tasks again" if at is None else "a node takes nothing new", node=name, by=caller.name
    )
    services.waker.wake(WAKE_SCHEDULER)
    observed = load_observations(services.redis).get(NodeName(name), Observation())
    return node_view(row, observed, _moment(services))


@router.get("/queue", response_model=Queue, responses=problems(503))
def get_queue(services: Wired, caller: Called) -> Any:
    """What waits and why: the admitted in their order, then the ready; at most 200. Then, by run, what waits for inputs.

    The counts are of all that the caller may see: of one team, or of the whole cluster.
    """
    team = caller.only_team
    with transaction(services.engine) as connection:
        counts = queue_counts(connection, team=team)
        rows = queued_tasks(connection, team=team, limit=_QUEUE_LIMIT)
        waiting = waiting_for_inputs(connection, team=team, most_runs=_MOST_RUNS, most_tasks=_MOST_TASKS)
    now = services.clock()
    return {
        "counts": counts,
        "items": [queue_view(row, now=now) for row in rows],
        "waiting": waiting_view(waiting),
    }


@router.get("/policies", response_model=PolicyList)
def list_policies(services: Wired) -> Any:
    """The installed policies: in which order tasks are considered."""
    return {"items": [_named(found, services.settings.policy) for found in plugins.policies().values()]}


@router.get("/strategies", response_model=StrategyList)
def list_strategies(services: Wired) -> Any:
    """The installed strategies (which node a task gets), and the presets that name a policy, too."""
    default = services.settings.strategy
    presets = [
        {"name": found.name, "policy": found.policy, "strategy": found.strategy, "summary": found.summary}
        for found in plugins.presets().values()
    ]
    return {"items": [_named(found, default) for found in plugins.strategies().values()], "presets": presets}


def _moment(services: Services) -> Cluster:
    return Cluster(nodes=(), taken_at=services.clock(), staleness_limit=services.settings.staleness)


def _named(found: Policy | Strategy, default: str) -> dict[str, object]:
    return {"name": found.name, "summary": found.summary, "default": found.name == default}
