"""How much of the cluster each team may have, and has."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from nodewise.api.auth.caller import Called
from nodewise.api.routes.documented import problems
from nodewise.api.schemas import example
from nodewise.api.wiring import Wired
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.quotas import TeamUse, use_by_team
from nodewise.core.model.quota import DEFAULT_QUOTA, Quota, quota_of

router = APIRouter(tags=["cluster"], prefix="/v1")


class TeamQuota(BaseModel):
    model_config = example(
        team="vision", cores=8.0, used_cores=7.5, gpus=1, used_gpus=1, queued_runs=100, used_queued_runs=12
    )

    team: str
    cores: float | None = Field(description="What its tasks may hold at a time; null: any number.")
    used_cores: float
    gpus: int | None
    used_gpus: int
    queued_runs: int | None = Field(
        description="How many of its runs may wait for their first task to begin."
    )
    used_queued_runs: int


class QuotaList(BaseModel):
    items: list[TeamQuota]


@router.get("/quotas", response_model=QuotaList, responses=problems(503))
def list_quotas(services: Wired, caller: Called) -> Any:
    """Limits and use of the caller's team, or of all teams that have a limit of their own or something in use."""
    quotas, team = services.settings.team_quotas, caller.only_team
    with transaction(services.engine) as connection:
        used = use_by_team(connection, team=team)
    names = {team} if team is not None else {*used, *quotas} - {DEFAULT_QUOTA}
    return {
        "items": [_shown(name, quota_of(name, quotas), used.get(name, TeamUse())) for name in sorted(names)]
    }


def _shown(team: str, quota: Quota, used: TeamUse) -> dict[str, object]:
    return {
        "team": team,
        "cores": quota.cores,
        "used_cores": used.held.millicores / 1000,
        "gpus": quota.gpus,
        "used_gpus": used.held.gpus,
        "queued_runs": quota.queued_runs,
        "used_queued_runs": used.queued_runs,
    }
