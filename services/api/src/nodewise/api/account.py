"""Whose account a request is on, and what of others it shows. Pure."""

from dataclasses import replace
from typing import Final

from nodewise.api.auth.caller import Caller
from nodewise.api.problems import Fault, Problem
from nodewise.api.submission import Submission

_BY_REQUEST: Final = "body.team"
_BY_PIPELINE: Final = "body.platform_spec.platforms.nodewise.pipelineConfig.team"


def on_account(submission: Submission, caller: Caller) -> Submission:
    """The submission on the caller's team's account, unless it names another one that they may use.

    Raises:
        Problem: 403, it names another team, and the caller belongs to one only.
    """
    own = replace(submission, own_team=caller.team)
    if caller.only_team in (None, own.team):
        return own
    field = _BY_REQUEST if submission.request.team is not None else _BY_PIPELINE
    rule = f"the API key {caller.name!r} is for team {caller.team!r} only, not for {own.team!r}"
    raise other_team(field, rule)


def other_team(field: str, rule: str) -> Problem:
    """Something is another team's (403)."""
    return Problem(
        status=403, kind="other-team", detail=f"{field}: {rule}", faults=(Fault(field=field, rule=rule),)
    )


def seen_of(asked: str | None, caller: Caller) -> str | None:
    """Of which team's runs a list is, where `asked` is the one that was asked for; None: of all.

    Of another team than the caller's there is nothing to see, not even that it exists: no team has an empty name.
    """
    if caller.only_team is None or asked == caller.only_team:
        return asked
    return caller.only_team if asked is None else ""
