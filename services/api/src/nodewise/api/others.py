"""What tasks of other runs are called before who may not know of them."""

from collections.abc import Collection, Set
from typing import Final

from sqlalchemy import Connection

from nodewise.api.auth.caller import Caller
from nodewise.core.db.queries.runs import runs_of_team
from nodewise.core.model.ids import RunId, TaskRef

NOBODY_ELSE: Final[Set[RunId]] = frozenset()


def hidden_from(connection: Connection, caller: Caller, runs: Collection[RunId]) -> Set[RunId]:
    """Those of these runs that are another team's than the caller's, who may know of one team only."""
    if caller.only_team is None:
        return NOBODY_ELSE
    return set(runs) - runs_of_team(connection, caller.only_team, runs)


def called(ref: TaskRef, hidden: Set[RunId]) -> str:
    """A task of another run in a sentence."""
    return "a task of another team" if ref.run_id in hidden else f"{ref.path} of run {ref.run_id[:8]}"
