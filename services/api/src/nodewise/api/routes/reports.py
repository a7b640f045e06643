"""Reports."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from nodewise.api.account import seen_of
from nodewise.api.auth.caller import Called
from nodewise.api.requests import SummaryQuery
from nodewise.api.routes.documented import problems
from nodewise.api.summary_schemas import Summary
from nodewise.api.wiring import Wired
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.summary import by_node, by_pipeline, run_counts, task_state_counts, totals

router = APIRouter(tags=["reports"], prefix="/v1/reports")
_PIPELINES_LIMIT = 1000


@router.get("/summary", response_model=Summary, responses=problems(422, 503))
def summary(services: Wired, caller: Called, query: Annotated[SummaryQuery, Query()]) -> Any:
    """How many, how long they waited and ran, and how well the nodes were used; of all runs or of one team's."""
    team = seen_of(query.team, caller)
    with transaction(services.engine) as connection:
        return {
            "runs": run_counts(connection, team),
            "tasks": task_state_counts(connection, team),
            **totals(connection, team),
            "pipelines": by_pipeline(connection, team, limit=_PIPELINES_LIMIT),
            "nodes": by_node(connection, team, now=services.clock()),
        }
