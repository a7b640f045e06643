"""Who makes a request, as far as it matters to the endpoints."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request

from nodewise.core.model.role import Role

DEFAULT_TEAM: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The holder of a key. `key_id` is None where no key of the database stands for them."""

    name: str
    role: Role
    team: str
    key_id: str | None = None

    @property
    def only_team(self) -> str | None:
        """The one team that they may know of; None: all teams. What queries filter by."""
        return None if self.role.sees_all_teams else self.team


EVERYBODY: Final = Caller(name="everybody", role=Role.ADMIN, team=DEFAULT_TEAM)
"""Who calls where keys are switched off."""


async def _caller(request: Request) -> Caller:
    caller = request.state.caller
    assert isinstance(caller, Caller)  # noqa: S101 - the guard has set it at every endpoint that is not public
    return caller


Called = Annotated[Caller, Depends(_caller)]
"""The type of an endpoint's parameter that takes its caller. Not for public endpoints."""
