"""Who may use which endpoint: the one place that says so.

`ACCESS` is the whole truth. The guard (`auth.guard`) enforces the role and hands the caller to the endpoint, which asks
the database for what is the caller's team's only; a gateway with an endpoint that has no entry here does not start;
docs/access.md is printed from it (`python -m nodewise.api.access`), and a test tries every cell of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from nodewise.core.model.role import Role


class Scope(StrEnum):
    """What of an endpoint depends on the caller's team. Operators and admins belong to all teams in this respect."""

    PUBLIC = "public"
    """Needs no key."""
    CLUSTER = "cluster"
    """The same for all teams."""
    THING = "thing"
    """Something that is a team's: another team's does not exist (404)."""
    LIST = "list"
    """What is another team's is left out."""
    ACCOUNT = "account"
    """Acts on a team's account, or on what all see: another team's is refused (403)."""
    OWN = "own"
    """Acts on the own team's account; no other can be named."""


class Outcome(StrEnum):
    """What becomes of a request."""

    ALLOWED = "yes"
    LEFT_OUT = "left out"
    NO_KEY = "401"
    FORBIDDEN = "403"
    ABSENT = "404"
    NO_WAY = "-"
    """There is no way to ask for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The least role that an endpoint takes (None: it needs no key), and what it shows to whom.

    `mlopx`: open without a key, for one team, where NODEWISE_MLOPX_TEAM is set.
    """

    least: Role | None
    scope: Scope
    mlopx: bool = False

    def outcome(self, role: Role | None, *, own: bool) -> Outcome:
        """What becomes of the request of a holder of that role (None: without a key), on what is their own team's or not."""
        if self.least is None:
            return Outcome.ALLOWED
        if role is None:
            return Outcome.NO_KEY
        if self.scope is Scope.OWN and not own:
            return Outcome.NO_WAY
        if not role.includes(self.least):
            return Outcome.FORBIDDEN
        return Outcome.ALLOWED if own or role.sees_all_teams else _OF_OTHERS[self.scope]


_OF_OTHERS: Final = {
    Scope.CLUSTER: Outcome.ALLOWED,
    Scope.THING: Outcome.ABSENT,
    Scope.LIST: Outcome.LEFT_OUT,
    Scope.ACCOUNT: Outcome.FORBIDDEN,
}

Endpoint = tuple[str, str]
"""Method and path, as the router has it."""

_PUBLIC: Final = Access(least=None, scope=Scope.PUBLIC)
_READ_LIST: Final = Access(least=Role.VIEWER, scope=Scope.LIST)
_READ_THING: Final = Access(least=Role.VIEWER, scope=Scope.THING)
_READ_CLUSTER: Final = Access(least=Role.VIEWER, scope=Scope.CLUSTER)
_CHANGE: Final = Access(least=Role.SUBMITTER, scope=Scope.THING)
_SUBMIT: Final = Access(least=Role.SUBMITTER, scope=Scope.ACCOUNT)
_OPERATE: Final = Access(least=Role.OPERATOR, scope=Scope.CLUSTER)
_ADMIN: Final = Access(least=Role.ADMIN, scope=Scope.CLUSTER)

ACCESS: Final[Mapping[Endpoint, Access]] = {
    ("GET", "/healthz"): _PUBLIC,
    ("GET", "/readyz"): _PUBLIC,
    ("GET", "/metrics"): _PUBLIC,
    ("GET", "/openapi.json"): _PUBLIC,
    ("GET", "/docs"): _PUBLIC,
    ("GET", "/docs/assets"): _PUBLIC,
    ("GET", "/redoc"): _PUBLIC,
    ("POST", "/v1/runs"): _SUBMIT,
    ("GET", "/v1/runs"): _READ_LIST,
    ("GET", "/v1/runs/{run_id}"): _READ_THING,
    ("GET", "/v1/runs/{run_id}/tasks"): _READ_THING,
    ("GET", "/v1/runs/{run_id}/events"): _READ_THING,
    ("GET", "/v1/runs/{run_id}/explain"): _READ_THING,
    ("GET", "/v1/runs/{run_id}/tasks/{path}/logs"): _READ_THING,
    ("GET", "/v1/runs/{run_id}/tasks/{path}/artifacts/{name}"): _READ_THING,
    ("POST", "/v1/runs/{run_id}/cancel"): _CHANGE,
    ("POST", "/v1/runs/{run_id}/retry"): _CHANGE,
    ("POST", "/v1/runs/{run_id}/archive"): _CHANGE,
    ("POST", "/v1/runs/{run_id}/unarchive"): _CHANGE,
    ("POST", "/v1/plans"): _SUBMIT,
    ("POST", "/v1/schedules"): _SUBMIT,
    ("GET", "/v1/schedules"): _READ_LIST,
    ("GET", "/v1/schedules/{schedule_id}"): _READ_THING,
    ("DELETE", "/v1/schedules/{schedule_id}"): _CHANGE,
    ("POST", "/v1/schedules/{schedule_id}/enable"): _CHANGE,
    ("POST", "/v1/schedules/{schedule_id}/disable"): _CHANGE,
    ("POST", "/v1/schedules/{schedule_id}/run"): _CHANGE,
    ("GET", "/v1/queue"): _READ_LIST,
    ("GET", "/v1/reports/summary"): _READ_LIST,
    ("GET", "/v1/quotas"): _READ_LIST,
    ("GET", "/v1/audit"): _OPERATE,
    ("GET", "/v1/nodes"): _READ_CLUSTER,
    ("POST", "/v1/nodes/{name}/cordon"): _OPERATE,
    ("POST", "/v1/nodes/{name}/uncordon"): _OPERATE,
    ("GET", "/v1/policies"): _READ_CLUSTER,
    ("GET", "/v1/strategies"): _READ_CLUSTER,
    ("GET", "/v1/datasets"): _READ_CLUSTER,
    ("PUT", "/v1/datasets/{name}"): _SUBMIT,
    ("GET", "/v1/whoami"): _READ_CLUSTER,
    ("POST", "/v1/keys"): _ADMIN,
    ("GET", "/v1/keys"): _ADMIN,
    ("DELETE", "/v1/keys/{key_id}"): _ADMIN,
    ("POST", "/v1/prune"): _ADMIN,
    ("POST", "/submit/"): Access(least=Role.SUBMITTER, scope=Scope.OWN, mlopx=True),
    ("GET", "/pipelines/{run_id}"): Access(least=Role.VIEWER, scope=Scope.THING, mlopx=True),
}


def endpoints_of(routes: Iterable[object]) -> Iterator[Endpoint]:
    """Every endpoint below these routes of an application.

    Raises:
        TypeError: A route of a kind that is not known here: what it serves cannot be told.
    """
    for route in routes:
        inner, path = getattr(route, "original_router", None), getattr(route, "path", None)
        if inner is not None:
            yield from endpoints_of(inner.routes)
        elif isinstance(path, str):
            yield from ((method, path) for method in _methods(route))
        else:
            raise TypeError(f"the gateway has a route of an unknown kind: {route!r}")


def _methods(route: object) -> set[str]:
    """A mounted folder has none of its own: it is read."""
    return set(getattr(route, "methods", None) or {"GET"}) - {"HEAD"}


def check_complete(routes: Iterable[object]) -> None:
    """See that every endpoint has its entry, and every entry its endpoint.

    Raises:
        LookupError: Names those that do not.
    """
    found = set(endpoints_of(routes))
    if found != ACCESS.keys():
        without, left_over = sorted(found - ACCESS.keys()), sorted(ACCESS.keys() - found)
        raise LookupError(f"access.py: endpoints without an entry: {without}; entries without: {left_over}")


def table() -> str:
    """The table of docs/access.md: every endpoint, role, and whose it is."""
    roles = (None, *Role)
    head = ["endpoint", "no key", *(f"{role}: own" for role in Role), *(f"{role}: other" for role in Role)]
    lines = [_row(head), _row(["---"] * len(head))]
    for (method, path), access in ACCESS.items():
        own = [access.outcome(role, own=True) for role in roles]
        other = [access.outcome(role, own=False) for role in Role]
        note = " (1)" if access.mlopx else ""
        lines.append(_row([f"`{method} {path}`{note}", *own, *other]))
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(table())  # noqa: T201 - what it is for
