"""At the door of every endpoint: who calls, and whether they may."""

import hmac
import math
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request
from sqlalchemy import Engine

from nodewise.api.access import ACCESS, Access
from nodewise.api.auth.caller import EVERYBODY, Caller
from nodewise.api.auth.hosts import OwnHosts
from nodewise.api.auth.keyring import Keyring, TooManyStrangers, is_valid, read_admin_key
from nodewise.api.auth.rates import Rates
from nodewise.api.limits import drain
from nodewise.api.problems import Problem
from nodewise.core.db.queries.api_keys import ApiKey
from nodewise.core.model.role import Role
from nodewise.core.settings import Settings
from nodewise.core.tokens import FORM, read_token

_CHALLENGE: Final = 'Bearer realm="nodewise"'
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS: Final = frozenset({"same-origin", "none"})
_DRAINED_BYTES: Final = 8 * 1024**2
_HOW: Final = (
    "send one as `Authorization: Bearer nw_...`; `nodewise` and its Client take it from NODEWISE_API_KEY, from the file "
    "that NODEWISE_API_KEY_FILE names, or from the home of the stack that `nodewise up` started here"
)


class Guard:
    """Lets requests in, or says why not. One per process."""

    def __init__(self, settings: Settings) -> None:
        """See Settings.

        Raises:
            ValueError: The file with the admin key is none.
        """
        self.keyring = Keyring(read_admin_key(settings.admin_key_file))
        self._open = settings.auth == "off"
        self._hosts = OwnHosts(settings.allowed_hosts)
        self._mlopx_team = settings.mlopx_team
        self._rates = Rates(settings.rate_per_second, settings.rate_burst)

    async def admit(self, request: Request, access: Access, engine: Engine, *, now: datetime) -> Caller:
        """Who makes this request, if they may.

        Raises:
            Problem: 401, 403 or 429.
        """
        if self._open:
            self._refuse_foreign_host(request.headers.get("host"))
            return EVERYBODY
        caller = await self._caller(request, access, engine, now=now)
        self._within_rate(caller)
        if access.least is not None and not caller.role.includes(access.least):
            raise _forbidden(caller, access.least)
        return caller

    def still_holds(self, caller: Caller, engine: Engine, *, now: datetime) -> bool:
        """Whether what let them in holds still. For answers that go on for long; waits in this thread."""
        if caller.key_id is None:
            return True
        key = self.keyring.look(caller.key_id, engine, now=now)
        return key is not None and is_valid(key, now=now)

    async def _caller(self, request: Request, access: Access, engine: Engine, *, now: datetime) -> Caller:
        sent = request.headers.get("authorization")
        if sent is None:
            if access.mlopx and self._mlopx_team is not None:
                self._refuse_foreign_host(request.headers.get("host"))
                return Caller(name="mlopx", role=Role.SUBMITTER, team=self._mlopx_team)
            raise _unknown(f"this needs an API key: {_HOW}", kind="key-missing", challenge=_CHALLENGE)
        scheme, _, text = sent.partition(" ")
        token = read_token(text.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            raise _unknown(f"the Authorization header holds no API key: it is `Bearer {FORM}`")
        try:
            key = await self.keyring.find(token.id, engine, now=now)
        except TooManyStrangers:
            raise _crowded() from None
        if key is None or not hmac.compare_digest(key.secret_hash, token.secret_hash):
            raise _unknown("there is no such API key")
        _refuse_ended(key, now=now)
        return Caller(name=key.name, role=key.role, team=key.team, key_id=key.id)

    def _refuse_foreign_host(self, host: str | None) -> None:
        if self._hosts.has(host):
            return
        detail = (
            f"no keys are asked for here, so that only requests are answered whose Host is of this machine, and {host!r} may "
            "be any site's; NODEWISE_ALLOWED_HOSTS names others"
        )
        raise Problem(status=403, kind="host-unknown", detail=detail)

    def _within_rate(self, caller: Caller) -> None:
        if caller.role is Role.ADMIN:
            return
        seconds = self._rates.wait(caller.key_id or caller.name)
        if seconds > 0:
            rate = f"{self._rates.per_second:g} requests a second"
            raise Problem(
                status=429,
                kind="rate-limited",
                detail=f"the API key {caller.name!r} may make {rate}; try again in {seconds:.3f} s",
                headers={"Retry-After": str(math.ceil(seconds))},
            )


async def guard(request: Request) -> None:
    """The dependency that all endpoints have. Runs before anything else of the request is read.

    Raises:
        Problem: 401, 403 or 429; then the body was read and thrown away, so that the answer reaches who still sends it.
    """
    access = ACCESS[request.method, request.scope["route"].path]
    if access.least is None:
        return
    services = request.app.state.services
    try:
        _refuse_cross_site(request)
        now = services.clock()
        request.state.caller = await services.guard.admit(request, access, services.engine, now=now)
    except Problem:
        await drain(request.receive, _DRAINED_BYTES)
        raise


def _refuse_cross_site(request: Request) -> None:
    """A page of another site must not make a browser change something here: where keys are off, nothing else prevents it."""
    if request.method in _SAFE:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        foreign = site not in _OURS
    else:
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if foreign:
        detail = "this request comes from a page of another site, and those may change nothing here"
        raise Problem(status=403, kind="cross-site", detail=detail)


def _refuse_ended(key: ApiKey, *, now: datetime) -> None:
    if key.revoked_at is not None:
        raise _unknown(f"the API key {key.name!r} was revoked at {_said(key.revoked_at)}")
    if key.expires_at is not None and not is_valid(key, now=now):
        raise _unknown(f"the API key {key.name!r} expired at {_said(key.expires_at)}")


def _said(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _crowded() -> Problem:
    detail = (
        "many keys that were not seen before are sent just now, and this one was not looked up; try again"
    )
    return Problem(status=429, kind="rate-limited", detail=detail, headers={"Retry-After": "1"})


def _unknown(
    detail: str, *, kind: str = "key-refused", challenge: str = f'{_CHALLENGE}, error="invalid_token"'
) -> Problem:
    return Problem(status=401, kind=kind, detail=detail, headers={"WWW-Authenticate": challenge})


def _forbidden(caller: Caller, least: Role) -> Problem:
    detail = f"this needs the role {least}; the API key {caller.name!r} has the role {caller.role}"
    challenge = f'{_CHALLENGE}, error="insufficient_scope"'
    return Problem(status=403, kind="role-too-low", detail=detail, headers={"WWW-Authenticate": challenge})
